using System.Net.Sockets;
using Hecatonchire.Capture;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Placement;
using Hecatonchire.Prefetch;
using Hecatonchire.Pressure;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>
/// One program with its pager: what came in its HELLO, the connections and slabs made for it, and the thread that
/// serves it. Built and used by the handover thread; disposing returns everything.
/// </summary>
internal sealed class PagerSession : IDisposable
{
    /// <summary>64 MiB: what a program can fill while a slab is got.</summary>
    private const long FreeSlotsMin = (64L << 20) / PageSize.Bytes;

    /// <summary>With less than what can be on its way out at once, nothing may be taken out any more.</summary>
    private const long FullBelowSlots = HandoverAbi.StagingPages;

    private const long SlotsPerSlabMax = 1L << SlotMap.SlotBits;

    /// <summary>How long a sponsor that was full is not asked.</summary>
    private const long FullAskAgainMs = 1000;

    private readonly SponsorClient _client;
    private readonly SponsorConnections _connections;
    private readonly List<ulong> _slabs = [];
    private readonly List<IDisposable> _owned = [];
    private readonly int[] _descriptors;
    private readonly DataLink _link;
    private readonly PagerThread _thread;
    private readonly Dictionary<ulong, long> _segmentPages = [];
    private readonly MemoryCapture? _capture;

    /// <summary>Held while slabs are got or given back, by the thread that serves the program or the one that captures its memory.</summary>
    private readonly Lock _slabLock = new();
    private long _slots;
    private long _fullUntil;

    public PagerSession(PagerOptions options, SponsorClient client, SponsorConnections connections, Socket socket, int process, in HandoverMessage hello,
        ReadOnlySpan<int> descriptors, Action<PagerSession> onSponsorLost, Action<PagerSession> onMustStop, ILogger logger)
    {
        (_client, _connections) = (client, connections);
        _descriptors = descriptors.ToArray();
        Process = process;
        try
        {
            _link = Own(Connect(options.Sponsor, connections, logger));
            (IDataConnection reader, IDataConnection writer) = (_link[0], _link[1]);
            var hash = new PageHash();
            CommandRing ring = Own(new CommandRing(descriptors[1], descriptors[2], hash.Key));
            PageSnapshots? snapshots = options.Clean ? Own(new PageSnapshots(process, hash)) : null;
            KernelProgramMemory program = Own(new KernelProgramMemory(descriptors[0], process, hello.Address, ring, snapshots, hello.Value2));
            bool captures = (hello.Value2 & HandoverAbi.CanCapture) != 0;
            AddressRange[] keptOut = captures ? KeptOut(in hello) : [];
            Core = Own(new PagerCore(
                program, reader, writer, CreatePolicy(options.Prefetch), options.Local, HandoverAbi.StagingPages, options.Eviction)
            {
                DirtyTracking = options.DirtyTracking,
                Captures = captures,
                KeptOut = keptOut,
                OnSponsorLost = () => onSponsorLost(this),
            });
            CgroupMemory? memory = CgroupMemory.Find(process);
            PressureMonitor? pressure = memory is null ? null : Own(new PressureMonitor(memory));
            _thread = new PagerThread(Core, ring, descriptors[0], descriptors[3], (int)socket.Handle, reader, writer, pressure,
                options.Spin && Environment.ProcessorCount > 1 ? new CorePlacement(process, ring) : null, options.Spin)
            {
                SnapshotDone = snapshots?.DoneDescriptor ?? -1,
                OnMustStopProgram = () => onMustStop(this),
            };
            _link.Start();
            _thread.Start();
            if (captures)
            {
                CapturedSession captured = Own(new CapturedSession(process, this, program, ring, keptOut, options.Local, pressure));
                _capture = new MemoryCapture(captured, options.Capture, logger);
                _capture.Start();
            }
        }
        catch
        {
            DisposeOwned();
            throw;
        }
    }

    public int Process { get; }

    public PagerCore Core { get; }

    public string Transport => _connections.InUse.Transport;

    /// <summary>How often the data connections were rebuilt.</summary>
    public long Reconnects => _link.Rebuilds;

    /// <summary>Once the sponsor is lost: why, in a few words.</summary>
    public string? LossReason => (_link[0].IsBroken ? _link[0] : _link[1]).BreakReason;

    /// <summary>Bytes the pager thread has allocated since it started.</summary>
    public long PagerThreadAllocatedBytes => Volatile.Read(ref _thread.AllocatedBytes);

    /// <summary>
    /// Adds a segment. Room for every page of it is had from the sponsor first, so a sponsor that is full refuses
    /// here, before any data is at risk. Returns 0 or -errno; the descriptor of the page table is the segment's.
    /// </summary>
    public int Allocate(ulong address, ulong bytes, out int tableDescriptor)
    {
        tableDescriptor = -1;
        int status = EnsureSlots((long)(bytes >> PageSize.Shift));
        if (status != 0)
        {
            return status;
        }

        using var request = new PagerRequest(PagerRequestKind.Allocate)
        {
            Address = address,
            Pages = (long)(bytes >> PageSize.Shift),
            TableInMemoryFile = true,
        };
        _thread.Execute(request);
        tableDescriptor = request.Segment?.TableDescriptor ?? -1;
        if (request.Status == 0)
        {
            _segmentPages[address] = request.Pages;
        }

        return request.Status;
    }

    public int Free(ulong address)
    {
        int status = Execute(new PagerRequest(PagerRequestKind.Free) { Address = address });
        if (status == 0)
        {
            _ = _segmentPages.Remove(address);
        }

        ReturnIdle();
        return status;
    }

    public int Resize(ulong address, ulong bytes)
    {
        long pages = (long)(bytes >> PageSize.Shift);
        if (!_segmentPages.TryGetValue(address, out long before) || pages == 0)
        {
            return -Errno.EINVAL;
        }

        int status = EnsureSlots(pages - before);
        if (status != 0)
        {
            return status;
        }

        status = Execute(new PagerRequest(PagerRequestKind.Resize) { Address = address, Pages = pages });
        if (status == 0)
        {
            _segmentPages[address] = pages;
        }

        ReturnIdle();
        return status;
    }

    public int Advise(ulong address, ulong bytes, int advice) => Execute(
        new PagerRequest(PagerRequestKind.Advise) { Address = address, Pages = (long)(bytes >> PageSize.Shift), Advice = advice });

    public void Dispose()
    {
        bool isSponsorLost = Core.SponsorLost;
        DisposeOwned();
        _slabs.ForEach(_connections.RemoveSlab);
        foreach (ulong slab in _slabs)
        {
            // One that is gone would be waited for, slab by slab; one that is not frees them itself after its gone-after time.
            if (isSponsorLost || !FreeSlab(slab))
            {
                return;
            }
        }
    }

    private static DataLink Connect(SponsorEndpoint sponsor, SponsorConnections connections, ILogger logger)
    {
        DataLinkOptions options = new();
        return new DataLink(connections, connections: 2, options, TimeProvider.System)
        {
            OnDelayed = why => PagerLog.ConnectionsDelayed(logger, sponsor.Host, sponsor.Port, why, options.GiveUpAfter.TotalSeconds),
            OnRebuilt = (why, after) => PagerLog.ConnectionsRebuilt(logger, sponsor.Host, sponsor.Port, why, (long)after.TotalMilliseconds),
        };
    }

    private static IPrefetchPolicy CreatePolicy(PrefetchKind kind) => kind switch
    {
        PrefetchKind.None => new NoPrefetch(),
        PrefetchKind.Window => new WindowPrefetch(),
        _ => new TrendPrefetch(),
    };

    /// <summary>Has slots for <paramref name="more"/> pages beyond those of all segments; 0 or -ENOSPC.</summary>
    private int EnsureSlots(long more)
    {
        lock (_slabLock)
        {
            return GainSlots(_segmentPages.Values.Sum() + more - _slots);
        }
    }

    /// <summary>
    /// Has <see cref="FreeSlotsMin"/> slots free, got a quarter of all at a time when there are many, and gives back what is far more. False while the
    /// sponsor has no more and they run out; it is asked again after a second.
    /// </summary>
    public bool EnsureFreeSlots()
    {
        lock (_slabLock)
        {
            long wanted = Math.Max(FreeSlotsMin, _slots / 4), free = Core.FreeSlots;
            if (free > (2 * wanted) + SlotsPerSlabMax)
            {
                ReturnIdleSlabs((uint)(2 * wanted));
            }

            long now = Environment.TickCount64;
            if (free >= FreeSlotsMin || now < _fullUntil)
            {
                return free >= FullBelowSlots;
            }

            // Less than wanted is better than nothing.
            bool isGained = false;
            for (long missing = wanted - free; !isGained && missing > 0; missing = missing > FreeSlotsMin ? missing / 2 : 0)
            {
                isGained = GainSlots(missing) == 0;
            }

            _fullUntil = isGained ? 0 : now + FullAskAgainMs;
            return isGained || free >= FullBelowSlots;
        }
    }

    private int GainSlots(long missing)
    {
        var gained = new List<SlabEntry>();
        try
        {
            while (missing > 0)
            {
                SlabEntry slab = _client.AllocateSlab(SlabBytesFor(missing << PageSize.Shift));
                gained.Add(slab);
                _connections.AddSlab(slab.Slab, slab.Bytes);
                missing -= slab.Bytes >> PageSize.Shift;
            }
        }
        catch (SponsorException)
        {
            gained.ForEach(slab => _ = FreeSlab(slab.Slab));
            return -Errno.ENOSPC;
        }

        foreach (SlabEntry slab in gained)
        {
            uint slots = (uint)(slab.Bytes >> PageSize.Shift);
            int status = Execute(new PagerRequest(PagerRequestKind.AddSlab) { Slab = slab.Slab, Slots = slots });
            if (status != 0)
            {
                _ = FreeSlab(slab.Slab);
                return status;
            }

            _slabs.Add(slab.Slab);
            _slots += slots;
        }

        return 0;
    }

    /// <summary>The smallest slab that holds the rest, within the sponsor's limits.</summary>
    private long SlabBytesFor(long bytes)
    {
        long wanted = (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes);
        return Math.Clamp(wanted, _client.Hello.SlabBytesMin, Math.Min(_client.Hello.SlabBytesMax, (long)PageSize.Bytes << SlotMap.SlotBits));
    }

    /// <summary>Memory that the evictor in the program stands on.</summary>
    private static AddressRange[] KeptOut(in HandoverMessage hello)
    {
        var kept = new List<AddressRange>();
        ReadOnlySpan<ulong> pairs = hello.Payload;
        for (int i = 0; i + 1 < pairs.Length && pairs[i] != 0; i += 2)
        {
            kept.Add(new AddressRange(pairs[i], pairs[i] + pairs[i + 1]));
        }

        return [.. kept];
    }

    private void ReturnIdle()
    {
        lock (_slabLock)
        {
            ReturnIdleSlabs();
        }
    }

    /// <summary>Gives slabs back that hold no page. Where memory is captured, <paramref name="kept"/> slots stay free.</summary>
    private void ReturnIdleSlabs(uint kept = 0)
    {
        while (true)
        {
            using var request = new PagerRequest(PagerRequestKind.RemoveIdleSlab) { Slots = kept };
            _thread.Execute(request);
            if (request.Status != 0)
            {
                return;
            }

            _slots -= request.RemovedSlots;
            _ = _slabs.Remove(request.RemovedSlab);
            _ = FreeSlab(request.RemovedSlab);
        }
    }

    /// <summary>False when the sponsor is gone or has freed it already: it has nothing to give back then.</summary>
    private bool FreeSlab(ulong slab)
    {
        _connections.RemoveSlab(slab);
        try
        {
            _client.FreeSlab(slab);
            return true;
        }
        catch (SponsorException)
        {
            return false;
        }
    }

    /// <summary>Has the pager thread carry a request out, disposes it and returns its status.</summary>
    public int Execute(PagerRequest request)
    {
        using (request)
        {
            _thread.Execute(request);
            return request.Status;
        }
    }

    private T Own<T>(T resource)
        where T : IDisposable
    {
        _owned.Add(resource);
        return resource;
    }

    private void DisposeOwned()
    {
        _capture?.Dispose();
        _thread?.Dispose();
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }

        _owned.Clear();
        foreach (int descriptor in _descriptors)
        {
            _ = Libc.Close(descriptor);
        }
    }
}
