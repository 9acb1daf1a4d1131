using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>A demander of its own that keeps reading and writing and comparing while a test misbehaves elsewhere.</summary>
internal sealed class Verifier
{
    private const uint Slots = 512;

    private readonly Thread _thread;
    private volatile bool _stop;
    private volatile int _verified;
    private Exception? _failure;

    public Verifier(ServerUnderTest server, int seed = 99)
    {
        int demander = server.Directory.NewDemander();
        ulong slab = 0;
        server.Server.RunBetweenRequests(() => slab = server.Directory.AddSlab(demander, Slots));
        _thread = new Thread(() => Run(server, demander, slab, seed)) { Name = "verifier", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Stops it; fails if it saw anything wrong or had no chance to see anything.</summary>
    public void Finish()
    {
        SpinWait.SpinUntil(() => _verified > 0 || _failure is not null, TimeSpan.FromSeconds(20));
        _stop = true;
        Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the verifier hangs");
        Assert.Null(_failure);
        Assert.True(_verified > 0, "the verifier verified nothing");
    }

    private void Run(ServerUnderTest server, int demander, ulong slab, int seed)
    {
        try
        {
            using TcpDataConnection connection = server.Connect(demander);
            RandomWorkload workload = new(connection, slab, Slots, seed);
            while (!_stop)
            {
                _verified += workload.Run(requests: 200, runPagesMax: 8);
            }
        }
#pragma warning disable CA1031 // shown by Finish
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _failure = failure;
        }
    }
}
