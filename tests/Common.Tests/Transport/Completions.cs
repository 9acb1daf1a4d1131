using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Xunit;

namespace Hecatonchire.Tests.Transport;

/// <summary>Waiting for the completions of a connection, with a deadline.</summary>
internal static unsafe class Completions
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);

    /// <summary>Polls until so many requests have completed; each cookie may come once only.</summary>
    public static Dictionary<ulong, DataStatus> Wait(IDataConnection connection, int count, int atOnce = 64)
    {
        Dictionary<ulong, DataStatus> ended = [];
        DataCompletion[] taken = new DataCompletion[atOnce];
        long started = Stopwatch.GetTimestamp();
        while (ended.Count < count)
        {
            int done = connection.Poll(taken);
            for (int i = 0; i < done; i++)
            {
                Assert.True(ended.TryAdd(taken[i].Cookie, taken[i].Status), $"request {taken[i].Cookie} completed twice");
            }

            if (done == 0)
            {
                Assert.True(
                    Stopwatch.GetElapsedTime(started) < s_deadline, $"only {ended.Count} of {count} requests completed in time");
                WaitForWork(connection);
            }
        }

        return ended;
    }

    /// <summary>Polls until the connection is broken.</summary>
    public static void WaitUntilBroken(IDataConnection connection)
    {
        DataCompletion[] taken = new DataCompletion[16];
        long started = Stopwatch.GetTimestamp();
        while (!connection.IsBroken)
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < s_deadline, "the connection did not break in time");
            WaitForWork(connection);
            _ = connection.Poll(taken);
        }
    }

    /// <summary>Waits as a pager does: on the descriptor the connection names, for the events it names.</summary>
    public static void WaitForWork(IDataConnection connection)
    {
        if (connection.WaitDescriptor >= 0 && connection.PrepareToWait())
        {
            PollDescriptor wait = new() { Descriptor = connection.WaitDescriptor, Events = (short)connection.WaitEvents };
            _ = Libc.Poll(&wait, 1, 1000);
            connection.Submit();
        }
    }
}
