using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>
/// What a program and the children that it has forked have in common: the connections, the slabs, and the thread that serves them. It lasts as long as
/// one of them.
/// </summary>
internal sealed class PagerFamily : IDisposable
{
    /// <summary>64 MiB: what a program can fill while a slab is got.</summary>
    private const long FreeSlotsMin = (64L << 20) / PageSize.Bytes;

    /// <summary>With less than what can be on its way out at once, nothing may be taken out any more.</summary>
    private const long FullBelowSlots = HandoverAbi.StagingPages;

    private const long SlotsPerSlabMax = 1L << SlotMap.SlotBits;

    /// <summary>How long a sponsor that was full is not asked.</summary>
    private const long FullAskAgainMs = 1000;

    /// <summary>4 MiB: of a child less is on its way out at once, and its fork waits while this is made.</summary>
    private const int ChildStagingPages = 1024;

    /// <summary>A child faults, and so makes itself known, before it says HELLO.</summary>
    private static readonly TimeSpan ClaimTime = TimeSpan.FromSeconds(5);

    private readonly PagerOptions _options;
    private readonly SponsorClient _client;
    private readonly SponsorConnections _connections;
    private readonly ILogger _logger;
    private readonly DataLink _link;
    private readonly ConnectionShare _reader;
    private readonly ConnectionShare _writer;
    private readonly SlotMap _slots = new();
    private readonly List<ulong> _slabs = [];
    private readonly List<PagerMember> _unclaimed = [];
    private readonly List<int> _opening = [];

    /// <summary>Held while slabs are got or given back, by a thread that serves a program or one that captures its memory.</summary>
    private readonly Lock _slabLock = new();
    private long _totalSlots;
    private long _fullUntil;
    private int _sessions;
    private bool _isSponsorLost;
    private readonly Lock _disposal = new();
    private bool _isStopped;
    private bool _isDisposed;

    /// <param name="options">As the pager was started.</param>
    /// <param name="client">As whom it borrows.</param>
    /// <param name="connections">That client's.</param>
    /// <param name="hash">Of a program that another pager has had: what that one hashed with.</param>
    /// <param name="logger">The pager's.</param>
    public PagerFamily(PagerOptions options, SponsorClient client, SponsorConnections connections, PageHash? hash, ILogger logger)
    {
        Hash = hash ?? new PageHash();
        (_options, _client, _connections, _logger) = (options, client, connections, logger);
        _link = Connect(options.Sponsor, connections, logger);
        (_reader, _writer) = (new ConnectionShare(_link[0]), new ConnectionShare(_link[1]));
        Thread = new PagerThread(_reader, _writer, options.Spin && Environment.ProcessorCount > 1);
    }

    public PagerThread Thread { get; }

    /// <summary>What the evictors of all its programs hash with: hashes are inherited.</summary>
    public PageHash Hash { get; }

    /// <summary>How often the data connections were rebuilt.</summary>
    public long Reconnects => _link.Rebuilds;

    /// <summary>Once the sponsor is lost: why, in a few words.</summary>
    public string? LossReason => (_link[0].IsBroken ? _link[0] : _link[1]).BreakReason;

    /// <summary>Called on the pager thread when a core finds its sponsor lost.</summary>
    public Action<PagerCore>? OnSponsorLost { get; init; }

    /// <summary>Called when the last session has left.</summary>
    public Action? OnEnded { get; init; }

    /// <summary>True until the program of a dead pager has agreed to go on with this one: what it has on the sponsor must stay there.</summary>
    public bool IsOnTrial { get; set; }

    /// <summary>
    /// Before it starts: the slabs in which another pager has left pages are this one's. Throws <see cref="InvalidDataException"/> where the sponsor does not
    /// hold them any more, <see cref="SponsorException"/>.
    /// </summary>
    public unsafe void TakeOverSlabs(PageTableFile left)
    {
        Dictionary<ulong, long> lent = _client.ListSlabs().ToDictionary(slab => slab.Slab, slab => slab.Bytes);
        for (int i = 0; i < SlotMap.SlabsMax; i++)
        {
            (ulong id, ulong slots) = (left.Slabs[2 * i], left.Slabs[(2 * i) + 1]);
            if (slots == 0)
            {
                continue;
            }

            if (!lent.Remove(id, out long bytes) || (ulong)bytes >> PageSize.Shift != slots)
            {
                throw new InvalidDataException("the sponsor has freed its memory by now");
            }

            _slots.Place(i, id, (uint)slots);
            _connections.AddSlab(id, bytes);
            _slabs.Add(id);
            _totalSlots += (long)slots;
        }

        // Got, and not used yet.
        foreach (ulong slab in lent.Keys)
        {
            _client.FreeSlab(slab);
        }
    }

    /// <summary>What a program's next pager needs to know of its slots is written down there; null: no more.</summary>
    public unsafe void WriteSlabsTo(PageTableFile? tables)
    {
        if (tables is not null)
        {
            tables.Lender = (_client.Demander, _client.Hello.Instance);
        }

        _slots.Directory = tables is null ? null : tables.Slabs;
    }

    /// <summary>Starts serving the first program.</summary>
    public void Start()
    {
        _link.Start();
        Thread.Start();
    }

    /// <summary>
    /// Serves nobody any more, and has no connections: nothing uses the buffers of a member that was not drained. Waits for no sponsor. The rest is
    /// <see cref="Leave"/>'s.
    /// </summary>
    public void Stop()
    {
        lock (_disposal)
        {
            if (!_isStopped)
            {
                _isStopped = true;
                Thread.Dispose();

                // Nor does one that is silent now answer when it is given slabs back.
                _isSponsorLost |= _link.IsRebuilding;
                _link.Dispose();
            }
        }
    }

    public void Join() => Interlocked.Increment(ref _sessions);

    /// <summary>A session has ended; with the last one everything goes. Its program is not served any more.</summary>
    public void Leave(bool isSponsorLost)
    {
        _isSponsorLost |= isSponsorLost;
        if (Interlocked.Decrement(ref _sessions) == 0)
        {
            Dispose();
            OnEnded?.Invoke();
        }
    }

    /// <summary>A child that was claimed has a session now, or will have none.</summary>
    public void NoteOpened(int process)
    {
        lock (_unclaimed)
        {
            _ = _opening.Remove(process);
        }
    }

    /// <summary>Children that have no session yet, by their process; 0 where it is not known.</summary>
    public int[] Unclaimed
    {
        get
        {
            lock (_unclaimed)
            {
                return [.. _unclaimed.Select(child => child.IsProcessKnown ? child.Core.FirstFaultThread : 0), .. _opening];
            }
        }
    }

    /// <summary>The core of a program, not served yet. Throws <see cref="DataConnectionException"/>, <see cref="InsufficientMemoryException"/>.</summary>
    public PagerMember MakeMember(KernelProgramMemory memory, bool captures, IReadOnlyList<AddressRange> keptOut, ulong touchAddress, bool isChild = false,
        PageTableFile? tables = null)
    {
        IDataConnection? reader = _reader.Add(), writer = _writer.Add();
        if (reader is null || writer is null)
        {
            reader?.Dispose();
            throw new InsufficientMemoryException($"more than {ConnectionShare.MembersMax} forked children");
        }

        PagerCore? core = null;
        try
        {
            core = new PagerCore(
                memory, reader, writer, CreatePolicy(_options.Prefetch), _options.Local, isChild ? ChildStagingPages : HandoverAbi.StagingPages, _options.Eviction, _slots, tables)
            {
                DirtyTracking = _options.DirtyTracking,
                Captures = captures,
                KeptOut = keptOut,
                TouchAddress = touchAddress,
                IsHeir = !isChild,
                OnSponsorLost = () => OnSponsorLost?.Invoke(core!),
                OnFork = descriptor => MakeChild(memory, core!, descriptor),
            };
            return new PagerMember(core, memory);
        }
        catch
        {
            reader.Dispose();
            writer.Dispose();
            throw;
        }
    }

    /// <summary>The child that faulted as <paramref name="thread"/>; null when there is none. It is the caller's from now on, known as <paramref name="process"/>.</summary>
    public PagerMember? Claim(int thread, int process, TimeSpan? patience = null)
    {
        long end = Environment.TickCount64 + (long)(patience ?? ClaimTime).TotalMilliseconds;
        do
        {
            if (TryClaim(thread, process) is { } found)
            {
                return found;
            }

            System.Threading.Thread.Sleep(1);
        }
        while (Environment.TickCount64 < end);

        return null;
    }

    private PagerMember? TryClaim(int thread, int process)
    {
        PagerMember? found;
        lock (_unclaimed)
        {
            found = _unclaimed.Find(member => member.Core.FirstFaultThread == thread);
        }

        if (found is null)
        {
            return null;
        }

        // The thread that serves it may find it gone, and end it, at any moment.
        bool isClaimed = false;
        Thread.RunOn(() =>
        {
            lock (_unclaimed)
            {
                isClaimed = _unclaimed.Remove(found);
                if (isClaimed)
                {
                    _opening.Add(process);
                    found.OnRemoved = null;
                }
            }
        });
        return isClaimed ? found : null;
    }

    /// <summary>Has slots for <paramref name="pages"/> pages in all; 0 or -ENOSPC.</summary>
    public int EnsureSlots(long pages)
    {
        lock (_slabLock)
        {
            return GainSlots(pages - _totalSlots);
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
            long wanted = Math.Max(FreeSlotsMin, _totalSlots / 4), free = _slots.FreeSlots;
            if (free > (2 * wanted) + SlotsPerSlabMax)
            {
                ReturnIdleSlabs(() => _slots.TotalSlots - _slots.FreeSlots + (2 * wanted));
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

    /// <summary>Gives slabs back that hold no page, as long as <paramref name="pages"/> slots remain.</summary>
    public void ReturnIdle(long pages)
    {
        lock (_slabLock)
        {
            ReturnIdleSlabs(() => pages);
        }
    }

    /// <summary>Ends all; of a family that no session has joined, its maker's to call.</summary>
    public void Dispose()
    {
        lock (_disposal)
        {
            // Who comes second goes on when all has ended.
            if (!_isDisposed)
            {
                _isDisposed = true;
                DisposeAll();
            }
        }
    }

    private void DisposeAll()
    {
        Stop();
        lock (_unclaimed)
        {
            _unclaimed.ForEach(End);
            _unclaimed.Clear();
        }

        _slots.Dispose();
        _slabs.ForEach(_connections.RemoveSlab);
        if (IsOnTrial)
        {
            return;
        }

        foreach (ulong slab in _slabs)
        {
            // One that is gone would be waited for, slab by slab; one that is not frees them itself after its gone-after time.
            if (_isSponsorLost || !FreeSlab(slab))
            {
                return;
            }
        }
    }

    /// <summary>On the pager thread, while the program is in fork.</summary>
    private PagerCore? MakeChild(KernelProgramMemory parent, PagerCore parentCore, int descriptor)
    {
        try
        {
            KernelProgramMemory memory = parent.OfChild(descriptor);
            PagerMember child = MakeMember(memory, captures: true, parentCore.KeptOut, parentCore.TouchAddress, isChild: true);
            child.IsProcessKnown = parent.ForksInOwnNamespace;
            child.OnMustStop = () => child.IsProcessKnown && Libc.Kill(child.Core.FirstFaultThread, Libc.SIGKILL) == 0;
            child.OnRemoved = () =>
            {
                // It has ended without a HELLO.
                lock (_unclaimed)
                {
                    _ = _unclaimed.Remove(child);
                }

                End(child);
                _ = ThreadPool.QueueUserWorkItem(_ => Leave(isSponsorLost: false));
            };
            lock (_unclaimed)
            {
                _unclaimed.Add(child);
            }

            Join();

            Thread.Add(child);
            return child.Core;
        }
        catch (Exception e) when (e is InsufficientMemoryException or DataConnectionException or OutOfMemoryException)
        {
            // The descriptor stays open: without it the child would read zeros. So it stops at the first page that is not here.
            PagerLog.ChildNotServed(_logger, e.Message);
            return null;
        }
    }

    private static void End(PagerMember member)
    {
        member.Core.Dispose();
        member.Memory.Dispose();
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

        bool isAdded = true;
        foreach (SlabEntry slab in gained)
        {
            uint slots = (uint)(slab.Bytes >> PageSize.Shift);
            Thread.RunOn(() => isAdded = isAdded && _slots.Add(slab.Slab, slots));
            if (!isAdded)
            {
                _ = FreeSlab(slab.Slab);
                continue;
            }

            _slabs.Add(slab.Slab);
            _totalSlots += slots;
        }

        return isAdded ? 0 : -Errno.ENOSPC;
    }

    /// <summary>The smallest slab that holds the rest, within the sponsor's limits.</summary>
    private long SlabBytesFor(long bytes)
    {
        long wanted = (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes);
        return Math.Clamp(wanted, _client.Hello.SlabBytesMin, Math.Min(_client.Hello.SlabBytesMax, (long)PageSize.Bytes << SlotMap.SlotBits));
    }

    private void ReturnIdleSlabs(Func<long> needed)
    {
        bool isRemoved = true;
        while (isRemoved)
        {
            isRemoved = false;
            ulong slab = 0;
            uint slots = 0;
            Thread.RunOn(() => isRemoved = _slots.TryRemoveIdle(needed(), out slab, out slots));
            if (isRemoved)
            {
                _totalSlots -= slots;
                _ = _slabs.Remove(slab);
                _ = FreeSlab(slab);
            }
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
}
