using System.Diagnostics;
using System.Net;
using System.Numerics;
using System.Runtime.InteropServices;
using Hecatonchire.Control;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Harness;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>That the network which other tests make bad is bad in the way they think.</summary>
public sealed unsafe class WireProxyTests : IDisposable
{
    private const int Pages = 1024;
    private const int PagesPerRequest = 64;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    private readonly SponsorProcess _sponsor;
    private readonly WireProxy _proxy;
    private readonly SponsorClient _client;
    private readonly ulong _slab;
    private readonly byte* _written = (byte*)NativeMemory.AlignedAlloc(Pages * PageSize.Bytes, PageSize.Bytes);
    private readonly byte* _read = (byte*)NativeMemory.AlignedAlloc(Pages * PageSize.Bytes, PageSize.Bytes);

    public WireProxyTests()
    {
        Capability.RequireZmq();
        _sponsor = new SponsorProcess("64MiB");
        _proxy = new WireProxy(_sponsor, "127.0.0.2");
        _client = PagerHost.ConnectTo(_proxy.Endpoint);
        _slab = _client.AllocateSlab(64 << 20).Slab;
        new Random(1).NextBytes(new Span<byte>(_written, Pages * PageSize.Bytes));
    }

    public void Dispose()
    {
        _client.Dispose();
        _proxy.Dispose();
        _sponsor.Dispose();
        NativeMemory.AlignedFree(_written);
        NativeMemory.AlignedFree(_read);
    }

    [Fact]
    public void It_flips_one_bit_of_a_page_that_it_damages_and_nothing_else()
    {
        using TcpDataConnection through = Connect(_proxy.Endpoint.Host), past = Connect(_sponsor.Endpoint.Host);
        Transfer(through, isWrite: true);
        Assert.Equal(0, DamagedPages(through));

        _proxy.FlipsOfReads = 0.25;
        Assert.InRange(DamagedPages(through), Pages / 8, Pages / 2);
        Assert.Equal(0, DamagedPages(past));

        _proxy.FlipsOfReads = 0;
        _proxy.FlipsOfWrites = 1;
        Transfer(through, isWrite: true);
        Assert.Equal(Pages, DamagedPages(past));
        Assert.True(_client.Stats().RequestsRefused == 0, "a header was damaged");
    }

    /// <summary>No less; how much more is the host's affair.</summary>
    [Fact]
    public void It_takes_longer_by_its_delay_each_way()
    {
        using TcpDataConnection through = Connect(_proxy.Endpoint.Host);
        _proxy.Delay = TimeSpan.FromMilliseconds(10);
        long started = Stopwatch.GetTimestamp();
        Transfer(through, isWrite: true);
        TimeSpan written = Stopwatch.GetElapsedTime(started);
        Assert.Equal(0, DamagedPages(through));
        Assert.True(written.TotalMilliseconds >= 20, $"{written.TotalMilliseconds} ms");
    }

    private TcpDataConnection Connect(string host)
    {
        DataToken token = _client.RequestToken();
        return TcpDataConnection.Connect(new IPEndPoint(IPAddress.Parse(host), token.Port), _client.Demander, token.Token, s_deadline);
    }

    /// <summary>Pages that are read otherwise than they were written: each differs in one bit.</summary>
    private int DamagedPages(TcpDataConnection connection)
    {
        Transfer(connection, isWrite: false);
        int damaged = 0;
        for (int page = 0; page < Pages; page++)
        {
            int bits = 0;
            for (int word = page * PageSize.Bytes / sizeof(ulong); word < (page + 1) * PageSize.Bytes / sizeof(ulong); word++)
            {
                bits += BitOperations.PopCount(((ulong*)_written)[word] ^ ((ulong*)_read)[word]);
            }

            Assert.InRange(bits, 0, 1);
            damaged += bits;
        }

        return damaged;
    }

    private void Transfer(TcpDataConnection connection, bool isWrite)
    {
        for (int slot = 0; slot < Pages; slot += PagesPerRequest)
        {
            long place = (long)slot * PageSize.Bytes;
            Assert.True(isWrite
                ? connection.TryPostWrite((ulong)slot, _slab, (uint)slot, PagesPerRequest, _written + place)
                : connection.TryPostRead((ulong)slot, _slab, (uint)slot, PagesPerRequest, _read + place));
        }

        connection.Submit();
        var completions = new DataCompletion[Pages / PagesPerRequest];
        int done = 0;
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                connection.Submit();
                int count = connection.Poll(completions);
                for (int i = 0; i < count; i++)
                {
                    Assert.Equal(DataStatus.Done, completions[i].Status);
                }

                return (done += count) == Pages / PagesPerRequest || connection.IsBroken;
            },
            s_deadline));
        Assert.False(connection.IsBroken, connection.BreakReason);
    }
}
