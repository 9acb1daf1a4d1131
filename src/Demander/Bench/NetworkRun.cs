using System.Diagnostics;
using Hecatonchire.Cli;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Bench;

/// <summary>What `heca bench network` measures, and over what.</summary>
/// <param name="Benchmark">Always network.</param>
/// <param name="PageUs">A READ of one page, one at a time, from posting it to its completion; microseconds.</param>
/// <param name="RunPages">Pages of a request where many are in flight.</param>
/// <param name="Verified">Every page that was read was the one that had been written there.</param>
internal sealed record NetworkResult(
    string Benchmark, string Transport, string TransportReason, LatencySummary PageUs, int RunPages, int RequestsInFlight,
    double ReadPagesPerS, double WritePagesPerS, bool Verified);

/// <summary>
/// The data plane alone: what a pager can have at best from this sponsor over this network. It goes over one data connection of
/// the kind a pager opens, to a slab borrowed for the run.
/// </summary>
internal sealed unsafe class NetworkRun : IDisposable
{
    /// <summary>The smallest slab that sponsors lend.</summary>
    public const long SlabBytes = 64L << 20;

    private const uint Slots = (uint)(SlabBytes >> PageSize.Shift);
    private const int RunPages = 64;
    private const int Requests = 16;
    private const int WordsPerPage = PageSize.Bytes / sizeof(ulong);

    /// <summary>Looks in vain after which the sponsor may want this core.</summary>
    private const int LooksBeforeYield = 32;

    private readonly TimeSpan _duration;
    private readonly CancellationToken _cancellation;
    private readonly SponsorClient _client;
    private readonly IDataConnection _connection;
    private readonly TransportInUse _transport;
    private readonly ulong _slab;
    private readonly byte* _buffers;
    private readonly uint[] _slots = new uint[Requests];
    private readonly DataCompletion[] _completions = new DataCompletion[Requests];
    private bool _verified = true;

    private NetworkRun(SponsorClient client, SponsorEndpoint sponsor, TransportPreference preference, TimeSpan duration, ILogger logger, CancellationToken cancellation)
    {
        (_client, _duration, _cancellation) = (client, duration, cancellation);
        var connections = new SponsorConnections(sponsor, client, preference, logger);
        connections.Choose();
        SlabEntry slab = client.AllocateSlab(SlabBytes);
        _slab = slab.Slab;
        connections.AddSlab(slab.Slab, slab.Bytes);
        _connection = connections.Open();
        _transport = connections.InUse;
        _buffers = NativeMemoryMap.Populate(BufferBytes);
        int errno = _connection.Register(_buffers, BufferBytes);
        if (errno != 0)
        {
            throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered((long)BufferBytes, errno));
        }
    }

    private static nuint BufferBytes => Requests * RunPages * (nuint)PageSize.Bytes;

    /// <param name="duration">Of each of the three measurements.</param>
    /// <exception cref="PagerStartException">The sponsor or the transport cannot be had.</exception>
    /// <exception cref="CommandException">What was there went away meanwhile.</exception>
    public static NetworkResult Run(
        SponsorEndpoint sponsor, DemanderKey? key, TransportPreference preference, TimeSpan duration, ILoggerFactory loggers, CancellationToken cancellation)
    {
        using SponsorClient client = PagerHost.ConnectTo(sponsor, key: key);
        try
        {
            using var run = new NetworkRun(client, sponsor, preference, duration, loggers.CreateLogger("Hecatonchire.Network"), cancellation);
            return run.Measure();
        }
        catch (Exception failure) when (failure is SponsorException or DataConnectionException)
        {
            throw new CommandException(failure.Message, ExitStatus.Failed);
        }
    }

    public void Dispose()
    {
        bool isThere = !_connection.IsBroken;
        _connection.Dispose();
        _ = Libc.Unmap(_buffers, BufferBytes);
        try
        {
            // One that is gone is not waited for: it frees what it had lent when it hears no more of us.
            if (isThere)
            {
                _client.FreeSlab(_slab);
            }
        }
        catch (SponsorException)
        {
        }
    }

    private NetworkResult Measure()
    {
        double written = Stream(isWrite: true);
        LatencySummary latency = ReadSinglePages();
        double read = Stream(isWrite: false);
        return new NetworkResult(
            "network", _transport.Transport, _transport.Reason, latency, RunPages, Requests, Math.Round(read), Math.Round(written), _verified);
    }

    private LatencySummary ReadSinglePages()
    {
        var latencies = new LatencyHistogram();
        var random = new Random(1);
        long end = End();
        while (Stopwatch.GetTimestamp() < end)
        {
            uint slot = (uint)random.Next((int)Slots);
            long posted = Stopwatch.GetTimestamp();
            Post(isWrite: false, 0, slot, 1);
            _connection.Submit();
            _ = Await();
            latencies.Record(Stopwatch.GetTimestamp() - posted);
            Check(0, 1);
        }

        return LatencySummary.Of(latencies)!;
    }

    /// <summary>Goes over the slab with <see cref="Requests"/> runs in flight, at least once; pages per second.</summary>
    private double Stream(bool isWrite)
    {
        uint next = 0;
        long pages = 0, started = Stopwatch.GetTimestamp(), end = End();
        int inFlight = 0;
        for (int request = 0; request < Requests; request++, inFlight++, next += RunPages)
        {
            Post(isWrite, request, next, RunPages);
        }

        while (inFlight > 0)
        {
            _connection.Submit();
            int count = Await();
            for (int i = 0; i < count; i++)
            {
                int request = (int)_completions[i].Cookie;
                pages += RunPages;
                inFlight--;
                if (!isWrite)
                {
                    Check(request, RunPages);
                }

                if (pages < Slots || Stopwatch.GetTimestamp() < end)
                {
                    Post(isWrite, request, next % Slots, RunPages);
                    next += RunPages;
                    inFlight++;
                }
            }
        }

        return pages / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private long End() => Stopwatch.GetTimestamp() + (long)(_duration.TotalSeconds * Stopwatch.Frequency);

    private void Post(bool isWrite, int request, uint slot, int pages)
    {
        byte* buffer = _buffers + ((nuint)request * RunPages * PageSize.Bytes);
        _slots[request] = slot;
        for (int page = 0; isWrite && page < pages; page++)
        {
            ulong* words = (ulong*)buffer + (page * WordsPerPage);
            words[0] = words[WordsPerPage - 1] = Stamp(slot + (uint)page);
        }

        bool posted = isWrite
            ? _connection.TryPostWrite((ulong)request, _slab, slot, pages, buffer)
            : _connection.TryPostRead((ulong)request, _slab, slot, pages, buffer);
        if (!posted)
        {
            throw Ended();
        }
    }

    private int Await()
    {
        for (int look = 0; ; look++)
        {
            int count = _connection.Poll(_completions);
            if (count > 0)
            {
                foreach (ref readonly DataCompletion completion in _completions.AsSpan(0, count))
                {
                    if (completion.Status != DataStatus.Done)
                    {
                        throw Ended();
                    }
                }

                return count;
            }

            _cancellation.ThrowIfCancellationRequested();
            if (_connection.IsBroken)
            {
                throw Ended();
            }

            _connection.Spin();
            if (look > LooksBeforeYield)
            {
                _ = Libc.Yield();
            }
        }
    }

    private void Check(int request, int pages)
    {
        for (int page = 0; page < pages; page++)
        {
            ulong* words = (ulong*)(_buffers + ((nuint)request * RunPages * PageSize.Bytes)) + (page * WordsPerPage);
            ulong expected = Stamp(_slots[request] + (uint)page);
            _verified &= words[0] == expected && words[WordsPerPage - 1] == expected;
            words[0] = words[WordsPerPage - 1] = 0;
        }
    }

    private static ulong Stamp(uint slot) => (slot + 1) * 0x9E3779B97F4A7C15;

    private CommandException Ended() => new(
        $"the data connection ended: {_connection.BreakReason ?? _client.Failure ?? "the sponsor refused a request"}", ExitStatus.Failed);
}
