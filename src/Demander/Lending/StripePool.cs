using System.Collections.Concurrent;
using System.Numerics;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <summary>
/// The stripes of a program and of the children that it has forked: got from sponsors as they are needed, each on so many sponsors as there are to be replicas, given back when
/// nothing is in them, and made whole again when a sponsor is lost. Any thread may ask; what the pager thread uses is changed on it.
/// </summary>
internal sealed partial class StripePool : IDisposable
{
    /// <summary>64 MiB: what a program can fill while a slab is got.</summary>
    private const long FreeSlotsMin = (64L << 20) / PageSize.Bytes;

    /// <summary>With less than what can be on its way out at once, nothing may be taken out any more.</summary>
    private const long FullBelowSlots = Handover.HandoverAbi.StagingPages;

    private const long SlotsPerStripeMax = 1L << SlotMap.SlotBits;

    /// <summary>How long a sponsor that was full is not asked.</summary>
    private const long FullAskAgainMs = 1000;

    /// <summary>
    /// How long a sponsor may be silent while another has the answer: far more than a busy host takes, and with the time until it is looked for and the page is had elsewhere
    /// less than half a second.
    /// </summary>
    private const int SilenceMsMax = 300;

    /// <summary>How long a sponsor may take to lend: while it does, others wait that lend at once.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(2);

    private readonly Borrowing _borrowing;
    private readonly ILogger _logger;
    private readonly SpillLink? _spill;
    private readonly List<LenderLink> _links = [];

    /// <summary>Held while stripes are got or given back, and where <see cref="_links"/> changes.</summary>
    private readonly Lock _lock = new();
    private readonly Random _random = new();
    private readonly ConcurrentQueue<(LenderLink Link, ulong Slab, long At)> _dropped = new();
    private Action<Action> _runOn = static action => action();
    private readonly List<PageTableFile> _tables = [];
    private long _fullUntil;
    private long _wantedPages;

    /// <summary>By the sponsors' numbers. Only the pager thread counts, on a fault's way: no lock, no look for who it is.</summary>
    private readonly long[] _corruptedBy = new long[SponsorSet.SponsorsMax];
    private long _givenUp;
    private bool _isDisposed;

    /// <summary>
    /// Opens the connections to the sponsors that are to be had; the others join later. Throws <see cref="DataConnectionException"/>. The lenders are this pool's from now on,
    /// whatever comes.
    /// </summary>
    public StripePool(Borrowing borrowing, IReadOnlyList<Lender> lenders, ILogger logger)
    {
        (_borrowing, _logger) = (borrowing, logger);
        Demander = lenders[0].Client.Demander;
        _absent = [.. borrowing.Sponsors.Where(sponsor => !lenders.Any(lender => lender.Endpoint == sponsor))];
        Set = new SponsorSet(borrowing.ReadPolicy, SilenceMsMax)
        {
            OnSponsorLost = NoteSponsorLost,
            OnReplicaLost = NoteReplicaLost,
            OnStripeLost = NoteStripeLost,
            OnCorrupted = sponsor => _corruptedBy[sponsor]++,
            OnGivenUp = (_, pages) => OnPagesCorrupted?.Invoke(_givenUp += pages),
        };
        try
        {
            foreach (Lender lender in lenders)
            {
                Add(new SponsorLink(lender, logger));
            }

            if (borrowing.Spill is { } place)
            {
                _spill = OpenSpill(place);
                Add(_spill);
            }

            if (borrowing.Sponsors.Count > 1 || _spill is not null)
            {
                Set.Copier = new StripeCopier(Set, Slots.FindUsed) { OnFilled = NoteFilled };
            }
        }
        catch
        {
            _links.ForEach(static link => link.Dispose());
            foreach (Lender lender in lenders)
            {
                lender.Dispose();
            }

            throw;
        }
    }

    public SponsorSet Set { get; }

    public SlotMap Slots { get; } = new();

    /// <summary>As whom it borrows, from all of them.</summary>
    public Guid Demander { get; }

    /// <summary>Called on the pager thread: a sponsor is lost (its name, why), and so many pages had their only copy there.</summary>
    public Action<string, string, long>? OnPagesLost { get; init; }

    /// <summary>On the pager thread: so many pages in all could not be had as they were written, from any sponsor that has them.</summary>
    public Action<long>? OnPagesCorrupted { get; init; }

    /// <summary>On the pager thread: true while there are fewer slots than the programs need, and no sponsor has more. They grow here then.</summary>
    public Action<bool>? OnShort { get; init; }

    /// <summary>What the first sponsor's connections travel over.</summary>
    public TransportInUse InUse => LinksNow().OfType<SponsorLink>().FirstOrDefault()?.InUse ?? new TransportInUse("none", "");

    /// <summary>How often data connections were rebuilt.</summary>
    public long Reconnects => LinksNow().Sum(link => link.Rebuilds);

    /// <summary>How often what came from a sponsor was not what had been written.</summary>
    public long Corrupted => _corruptedBy.Sum();

    /// <summary>Sponsors that are not lost.</summary>
    public int Sponsors => LinksNow().Count(link => link is SponsorLink && !link.IsLost);

    public int SponsorsLost => LinksNow().Count(link => link is SponsorLink && link.IsLost);

    /// <summary>What the spill file takes of its disk.</summary>
    public long SpilledBytes => _spill?.TakenBytes ?? 0;

    /// <summary>Once a sponsor is lost: why, in a few words.</summary>
    public string? LossReason => LinksNow().FirstOrDefault(link => link.IsLost)?.LossReason;

    /// <summary>The names of all.</summary>
    public string Names => string.Join(", ", LinksNow().OfType<SponsorLink>().Select(link => link.Name));

    /// <summary>True when a sponsor that has not been lost does not answer.</summary>
    public bool IsRebuilding => LinksNow().Any(link => link.IsRebuilding);

    /// <summary>From now on the pager thread runs, and what it uses is changed by it.</summary>
    public void Start(Action<Action> runOn)
    {
        _runOn = runOn;
        foreach (LenderLink link in _links)
        {
            link.Start();
        }

        if (Set.Copier is not null)
        {
            StartCare();
        }
    }

    /// <summary>Has slots for <paramref name="pages"/> pages in all; 0 or -ENOSPC.</summary>
    public int EnsureSlots(long pages)
    {
        lock (_lock)
        {
            int status = GainSlots(pages - Slots.TotalSlots, maySpill: true);
            _wantedPages = status == 0 ? pages : _wantedPages;
            return status;
        }
    }

    /// <summary>
    /// Has <see cref="FreeSlotsMin"/> slots free, got a quarter of all at a time when there are many, and gives back what is far more. False while the
    /// sponsors have no more and they run out; they are asked again after a second.
    /// </summary>
    public bool EnsureFreeSlots()
    {
        lock (_lock)
        {
            long wanted = Math.Max(FreeSlotsMin, Slots.TotalSlots / 4), free = Slots.FreeSlots;
            if (free > (2 * wanted) + SlotsPerStripeMax)
            {
                ReturnIdleStripes(() => Slots.TotalSlots - Slots.FreeSlots + (2 * wanted));
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
                isGained = GainSlots(missing, maySpill: false) == 0;
            }

            isGained = isGained || (_spill is not null && GainSlots(FreeSlotsMin, maySpill: true) == 0);

            _fullUntil = isGained ? 0 : now + FullAskAgainMs;
            return isGained || free >= FullBelowSlots;
        }
    }

    /// <summary>Gives stripes back that hold no page, as long as <paramref name="pages"/> slots remain.</summary>
    public void ReturnIdle(long pages)
    {
        lock (_lock)
        {
            _wantedPages = pages;
            ReturnIdleStripes(() => pages);
        }
    }

    /// <summary>What the next pager of a program needs to know of the slots is written down there too. On the pager thread, or before it runs.</summary>
    public unsafe void WriteTo(PageTableFile tables)
    {
        _tables.Add(tables);
        tables.Demander = Demander;
        foreach (LenderLink link in LinksNow())
        {
            WriteSponsor(link);
        }

        for (int number = 0; number < Set.Stripes.Count; number++)
        {
            Write((ulong)number);
        }

        Slots.AddDirectory(tables.Slabs);
    }

    /// <summary>It is written there no more. On the pager thread, or before it runs.</summary>
    public unsafe void StopWritingTo(PageTableFile tables)
    {
        _ = _tables.Remove(tables);
        Slots.RemoveDirectory(tables.Slabs);
    }

    /// <summary>
    /// Before it starts: the stripes in which another pager has left pages are this one's. Throws <see cref="InvalidDataException"/> where the sponsors do not
    /// hold them any more, <see cref="SponsorException"/>.
    /// </summary>
    public unsafe void TakeOver(PageTableFile left)
    {
        var lent = _links.ToDictionary(link => link, link => link.ListSlabs().ToDictionary(slab => slab.Slab, slab => slab.Bytes));
        for (int i = 0; i < SlotMap.SlabsMax; i++)
        {
            (ulong stripe, ulong slots) = (left.Slabs[2 * i], left.Slabs[(2 * i) + 1]);
            if (slots == 0)
            {
                continue;
            }

            var replicas = new List<(int, ulong)>();
            foreach ((int sponsor, ulong slab) in left.ReplicasOf(stripe))
            {
                LenderLink? link = _links.Find(link => link.Instance == left.Sponsors[sponsor]);
                if (link is not null && lent[link].Remove(slab, out long bytes) && (ulong)bytes >> PageSize.Shift == slots)
                {
                    link.Adopt(slab, bytes);
                    replicas.Add((link.Number, slab));
                }
            }

            if (replicas.Count == 0)
            {
                throw new InvalidDataException("the sponsor was restarted, or is another, or has freed its memory by now");
            }

            Slots.Place(i, Set.Stripes.Add((uint)slots, [.. replicas]), (uint)slots);
        }

        // Got, and not used yet.
        foreach ((LenderLink link, Dictionary<ulong, long> slabs) in lent)
        {
            foreach (ulong slab in slabs.Keys)
            {
                link.Free(slab, AnswerTime);
            }
        }
    }

    /// <summary>
    /// Nothing is asked of the sponsors any more, and nothing uses the buffers of what was in flight. Waits for no sponsor. The pager thread has ended.
    /// </summary>
    public void Stop()
    {
        _runOn = static action => action();
        StopCare();
        foreach (LenderLink link in _links)
        {
            // One that is silent now does not answer when it is given slabs back either.
            link.DoesNotAnswer |= link.IsRebuilding;
            link.Disconnect();
        }
    }

    /// <summary>After <see cref="Stop"/>. With <paramref name="freesStripes"/> false what is borrowed stays so, for another pager.</summary>
    public void Dispose(bool freesStripes)
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        Slots.Dispose();
        Set.Copier?.Dispose();
        Set.Reader.Dispose();
        Set.Writer.Dispose();
        for (int number = 0; freesStripes && number < Set.Stripes.Count; number++)
        {
            if (Set.Stripes[(ulong)number] is { } stripe)
            {
                foreach (Replica replica in stripe.Replicas.Where(replica => replica.State != ReplicaState.None))
                {
                    GiveBack([(replica.Sponsor, replica.Slab)]);
                }
            }
        }

        Set.Stripes.Dispose();
        foreach (LenderLink link in _links)
        {
            link.Dispose();
        }
    }

    public void Dispose() => Dispose(freesStripes: true);

    private LenderLink[] LinksNow()
    {
        lock (_links)
        {
            return [.. _links];
        }
    }

    private void Add(LenderLink link)
    {
        try
        {
            link.Number = Set.Add(link.Reader, link.Writer);
            if (link.Number < 0)
            {
                throw new Transport.DataConnectionException(Transport.DataConnectionFailure.Memory, $"more than {SponsorSet.SponsorsMax} sponsors");
            }
        }
        catch
        {
            link.Disconnect();
            throw;
        }

        link.CorruptedTold = _corruptedBy[link.Number];
        lock (_links)
        {
            _links.Add(link);
        }
    }

    private LenderLink? LinkOf(int sponsor) => LinksNow().FirstOrDefault(link => link.Number == sponsor);

    private int GainSlots(long missing, bool maySpill)
    {
        var gained = new List<(uint Slots, (int, ulong)[] Replicas)>();
        while (missing > 0)
        {
            if ((Borrow(missing << PageSize.Shift, _borrowing.Replicas, static _ => true) ?? (maySpill ? Spill(missing << PageSize.Shift) : null)) is not { } stripe)
            {
                gained.ForEach(stripe => GiveBack(stripe.Replicas));
                return -Errno.ENOSPC;
            }

            gained.Add(stripe);
            missing -= stripe.Slots;
        }

        bool isAdded = true;
        foreach ((uint slots, (int, ulong)[] replicas) in gained)
        {
            _runOn(() =>
            {
                ulong number = Set.Stripes.Add(slots, replicas);
                Write(number);
                isAdded = isAdded && Slots.Add(number, slots);
                if (!isAdded)
                {
                    Set.Stripes.Remove(number);
                }
            });
            if (!isAdded)
            {
                GiveBack(replicas);
            }
        }

        return isAdded ? 0 : -Errno.ENOSPC;
    }

    /// <summary>
    /// Borrows a slab for a stripe from each of so many sponsors that suit: of two that are drawn, from the one that has more to give; from none that wants memory back. From
    /// fewer where there are not as many; null where that is for want of memory, or there is none.
    /// </summary>
    private (uint Slots, (int Sponsor, ulong Slab)[] Replicas)? Borrow(long bytes, int replicas, Predicate<LenderLink> suits)
    {
        var got = new List<(int, ulong)>();
        bool isFull = false;
        long slabBytes = 0;
        long now = Environment.TickCount64;
        var left = LinksNow().Where(link => link.IsHere && link.SilentUntil <= now && link.ReclaimBytes == 0 && link is SponsorLink && suits(link)).ToList();
        isFull = left.RemoveAll(link => link.FullUntil > now) > 0;
        while (got.Count < replicas && Draw(left) is { } link)
        {
            _ = left.Remove(link);
            long wanted = slabBytes > 0 ? slabBytes : SlabBytesFor(bytes, link);
            if (wanted < link.SlabBytesMin || wanted > link.SlabBytesMax)
            {
                continue;
            }

            try
            {
                SlabEntry slab = link.Allocate(wanted, AnswerTime);
                slabBytes = slab.Bytes;
                link.FreeBytes -= slab.Bytes;
                got.Add((link.Number, slab.Slab));
            }
            catch (SponsorException e)
            {
                if (e.Code == SponsorErrorCode.Full)
                {
                    isFull = true;
                    link.FullUntil = now + FullAskAgainMs;
                }
                else
                {
                    link.SilentUntil = now + FullAskAgainMs;
                }
            }
        }

        if (got.Count > 0 && (got.Count == replicas || !isFull))
        {
            return ((uint)(slabBytes >> PageSize.Shift), [.. got]);
        }

        GiveBack([.. got]);
        return null;
    }

    /// <summary>Borrows a slab for a stripe from the spill file; null where there is none or it has no room.</summary>
    private (uint Slots, (int Sponsor, ulong Slab)[] Replicas)? Spill(long bytes)
    {
        if (_spill is not { IsHere: true })
        {
            return null;
        }

        try
        {
            SlabEntry slab = _spill.Allocate(SlabBytesFor(bytes, _spill), AnswerTime);
            return ((uint)(slab.Bytes >> PageSize.Shift), [(_spill.Number, slab.Slab)]);
        }
        catch (SponsorException)
        {
            return null;
        }
    }

    private static SpillLink OpenSpill(SpillPlace place)
    {
        try
        {
            return new SpillLink(place);
        }
        catch (Transport.Spill.SpillException e)
        {
            throw new Transport.DataConnectionException(Transport.DataConnectionFailure.Memory, e.Message);
        }
    }

    /// <summary>The better of two drawn at random: most of what there is to gain from choosing among all, without all choosing the same.</summary>
    private LenderLink? Draw(List<LenderLink> links)
    {
        if (links.Count < 2)
        {
            return links.FirstOrDefault();
        }

        int first = _random.Next(links.Count), second = _random.Next(links.Count - 1);
        LenderLink one = links[first], other = links[second < first ? second : second + 1];
        return Worth(one) >= Worth(other) ? one : other;
    }

    private static double Worth(LenderLink link) => link.FreeBytes / (1 + (link.Load / 100_000));

    /// <summary>The smallest slab that holds the rest, within the limits of the lender and of --stripe.</summary>
    private long SlabBytesFor(long bytes, LenderLink link)
    {
        long wanted = (long)BitOperations.RoundUpToPowerOf2((ulong)bytes);
        return Math.Clamp(Math.Min(wanted, _borrowing.StripeBytesMax), link.SlabBytesMin, Math.Min(link.SlabBytesMax, PageSize.Bytes * SlotsPerStripeMax));
    }

    private void ReturnIdleStripes(Func<long> needed)
    {
        for (bool isRemoved = true; isRemoved;)
        {
            (int Sponsor, ulong Slab)[] replicas = [];
            _runOn(() =>
            {
                isRemoved = Slots.TryRemoveIdle(needed(), out ulong number, out _);
                if (isRemoved)
                {
                    replicas = [.. Set.Stripes[number]!.Replicas.Where(replica => replica.State != ReplicaState.None).Select(replica => (replica.Sponsor, replica.Slab))];
                    Set.Stripes.Remove(number);
                    Write(number);
                }
            });
            GiveBack(replicas);
        }
    }

    private void GiveBack((int Sponsor, ulong Slab)[] replicas)
    {
        foreach ((int sponsor, ulong slab) in replicas)
        {
            if (LinkOf(sponsor) is { } link)
            {
                link.Free(slab, AnswerTime);
            }
        }
    }

    private unsafe void WriteSponsor(LenderLink link)
    {
        foreach (PageTableFile tables in _tables)
        {
            tables.Sponsors[link.Number] = link.Instance;
        }
    }

    private void Write(ulong number)
    {
        foreach (PageTableFile tables in _tables)
        {
            tables.WriteReplicas(number, Set.Stripes[number] is { } stripe
                ? stripe.Replicas.Where(replica => replica.State == ReplicaState.Live).Select(replica => (replica.Sponsor, replica.Slab))
                : []);
        }
    }

    private void NoteSponsorLost(int sponsor, string? why)
    {
        if (LinkOf(sponsor) is { } link)
        {
            link.LossReason ??= why ?? "it ended the connection";
        }

        WakeCare();
    }

    private void NoteReplicaLost(ulong stripe, int sponsor, ulong slab)
    {
        Write(stripe);
        if (LinkOf(sponsor) is { } link)
        {
            _dropped.Enqueue((link, slab, System.Diagnostics.Stopwatch.GetTimestamp()));
            _lastDropped = link;
        }

        WakeCare();
    }

    private void NoteStripeLost(ulong stripe)
    {
        Slots.Close(stripe);
        long pages = Slots.UsedOf(stripe);
        if (_lastDropped is { } link && pages > 0)
        {
            link.PagesLost += pages;
            OnPagesLost?.Invoke(link.Name, link.LossReason ?? "it does not answer", link.PagesLost);
        }
    }

    private void NoteFilled(ulong stripe, int sponsor)
    {
        Write(stripe);
        EndMove(stripe);
        WakeCare();
    }
}
