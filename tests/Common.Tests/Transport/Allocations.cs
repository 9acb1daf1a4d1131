namespace Hecatonchire.Tests.Transport;

/// <summary>What work allocates.</summary>
internal static class Allocations
{
    private const int Attempts = 5;

    /// <summary>
    /// Of the same work, done up to five times, what it allocated the least, in bytes. A collection that another test causes while the work goes on can count what was left of this thread's allocation context (8 KiB)
    /// as allocated; what the work allocates itself it allocates each time.
    /// </summary>
    public static long Least(Func<long> work)
    {
        long least = long.MaxValue;
        for (int i = 0; i < Attempts && least > 0; i++)
        {
            least = Math.Min(least, work());
        }

        return least;
    }
}
