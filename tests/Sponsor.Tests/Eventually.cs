using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Waits for a state, with a deadline.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    public static void True(Func<bool> state, string what) =>
        Assert.True(SpinWait.SpinUntil(state, Deadline), $"{what}: did not happen in time");
}
