using Hecatonchire.Status;
using Xunit;

namespace Hecatonchire.Tests.Status;

public sealed class RefreshedTests
{
    [Fact]
    public async Task Is_found_out_by_one_however_many_ask_and_nobody_waits_for_what_is_known()
    {
        int reads = 0;
        using var go = new SemaphoreSlim(1);
        var known = new Refreshed<string>(() =>
        {
            go.Wait();
            return $"read {Interlocked.Increment(ref reads)}";
        }, "nothing", TimeSpan.Zero, TimeProvider.System);

        // On threads of their own: what they wait for runs on the pool's.
        string[] first = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ =>
            Task.Factory.StartNew(known.Get, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.All(first, one => Assert.Equal("read 1", one));

        // The next is being found out, and takes as long as it takes.
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal("read 1", known.Get());
        }

        go.Release();
        Assert.True(SpinWait.SpinUntil(() => known.Get() == "read 2", TimeSpan.FromSeconds(30)), "it is not found out again");
        go.Release(10);
    }

    [Fact]
    public void What_cannot_be_found_out_leaves_what_was_known()
    {
        int reads = 0;
        var known = new Refreshed<string>(() => ++reads == 2 ? throw new IOException("gone") : $"read {reads}", "nothing", TimeSpan.Zero, TimeProvider.System);
        Assert.Equal("read 1", known.Get());
        Assert.True(SpinWait.SpinUntil(() => known.Get() == "read 3", TimeSpan.FromSeconds(30)), "it is not tried again");
    }
}
