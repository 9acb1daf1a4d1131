using System.Collections.Concurrent;
using Hecatonchire.Pager;
using Hecatonchire.Placement;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Striped;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <summary>
/// The stripes of a program and of the children that it has forked: got from sponsors as they are needed, each on so many sponsors as there are to be replicas, given back when
/// nothing is in them, and made whole again when a sponsor is lost. Any thread may ask; what the pager thread uses is changed on it.
/// </summary>
internal sealed partial class StripePool : IDisposable
{
    /// <summary>That one program uses: the spill file is one too.</summary>
    public const int SponsorsMax = SponsorSet.SponsorsMax - 1;

    /// <summary>
    /// How long a sponsor may be silent while another has the answer: far more than a busy host takes, and with the time until it is looked for and the page is had elsewhere
    /// less than half a second.
    /// </summary>
    private const int SilenceMsMax = 300;

    private readonly Borrowing _borrowing;
    private readonly ILogger _logger;
    private readonly SpillLink? _spill;
    private readonly SealFile? _seals;
    private readonly LenderLinks _links = new();
    private readonly SlabPlacement _placement;

    /// <summary>Held while stripes are got or given back.</summary>
    private readonly Lock _lock = new();
    private readonly ConcurrentQueue<(LenderLink Link, ulong Slab, long At)> _dropped = new();
    private Action<Action> _runOn = static action => action();

    /// <summary>By the sponsors' numbers. Only the pager thread counts, on a fault's way: no lock, no look for who it is.</summary>
    private readonly long[] _corruptedBy = new long[SponsorSet.SponsorsMax];
    private long _givenUp;
    private bool _isDisposed;

    /// <summary>
    /// Opens the connections to the sponsors that are to be had; the others join later. Throws <see cref="DataConnectionException"/>. The lenders and what pages are sealed with,
    /// if they are, are this pool's from now on, whatever comes.
    /// </summary>
    public StripePool(Borrowing borrowing, IReadOnlyList<Lender> lenders, SealFile? seals, ILogger logger)
    {
        (_borrowing, _seals, _logger) = (borrowing, seals, logger);
        _placement = new SlabPlacement(borrowing, _links);
        Demander = lenders[0].Client.Demander;
        _absent = [.. borrowing.Sponsors.Where(sponsor => !lenders.Any(lender => lender.Endpoint == sponsor))];
        Set = new SponsorSet(borrowing.ReadPolicy, SilenceMsMax, borrowing is { Hedge: true, Replicas: > 1 } ? new Hedging() : null, seals)
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

            if (borrowing.Sponsors.Count > 1 || borrowing.Finder is not null || _spill is not null)
            {
                Set.Copier = new StripeCopier(Set, Slots.FindUsed) { OnFilled = NoteFilled };
                Set.Repair = new StripeRepair(Set);
            }
        }
        catch
        {
            Array.ForEach(_links.Now(), static link => link.Dispose());
            foreach (Lender lender in lenders)
            {
                lender.Dispose();
            }

            _seals?.Dispose();
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
    public TransportInUse InUse => _links.Now().OfType<SponsorLink>().FirstOrDefault()?.InUse ?? new TransportInUse("none", "");

    /// <summary>How often data connections were rebuilt.</summary>
    public long Reconnects => _links.Now().Sum(link => link.Rebuilds);

    public StripeCounts Counts => new(_corruptedBy.Sum(), Set.Repair?.Repaired ?? 0, Set.Reader.ReadsHedged, Set.Reader.HedgesWon);

    /// <summary>Sponsors that are not lost.</summary>
    public int Sponsors => _links.Now().Count(link => link is SponsorLink && !link.IsLost);

    public int SponsorsLost => _links.Now().Count(link => link is SponsorLink && link.IsLost);

    /// <summary>Sponsors that have not been lost and do not answer just now.</summary>
    public int SponsorsSilent => _links.Now().Count(link => link is SponsorLink { IsLost: false, IsRebuilding: true });

    /// <summary>What the spill file takes of its disk.</summary>
    public long SpilledBytes => _spill?.TakenBytes ?? 0;

    /// <summary>Once a sponsor is lost: why, in a few words.</summary>
    public string? LossReason => _links.Now().FirstOrDefault(link => link.IsLost)?.LossReason;

    /// <summary>The names of all.</summary>
    public string Names => string.Join(", ", _links.Now().OfType<SponsorLink>().Select(link => link.Name));

    /// <summary>True when a sponsor that has not been lost does not answer.</summary>
    public bool IsRebuilding => _links.Now().Any(link => link.IsRebuilding);

    /// <summary>From now on the pager thread runs, and what it uses is changed by it.</summary>
    public void Start(Action<Action> runOn)
    {
        _runOn = runOn;
        foreach (LenderLink link in _links.Now())
        {
            link.Start();
        }

        if (Set.Copier is not null)
        {
            StartCare();
        }
    }

    /// <summary>
    /// Nothing is asked of the sponsors any more, and nothing uses the buffers of what was in flight. Waits for no sponsor. The pager thread has ended.
    /// </summary>
    public void Stop()
    {
        _runOn = static action => action();
        StopCare();
        foreach (LenderLink link in _links.Now())
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
        for (int number = 0; freesStripes && number < Set.Stripes.Count; number++)
        {
            if (Set.Stripes[(ulong)number] is { } stripe)
            {
                foreach (Replica replica in stripe.Replicas.Where(replica => replica.State != ReplicaState.None))
                {
                    _placement.GiveBack([(replica.Sponsor, replica.Slab)]);
                }
            }
        }

        Set.Dispose();
        if (freesStripes)
        {
            _seals?.Delete();
        }

        _seals?.Dispose();
        foreach (LenderLink link in _links.Now())
        {
            link.Dispose();
        }
    }

    public void Dispose() => Dispose(freesStripes: true);

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
        _links.Add(link);
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

    private void NoteSponsorLost(int sponsor, string? why)
    {
        if (_links.Of(sponsor) is { } link)
        {
            link.LossReason ??= why ?? "it ended the connection";
        }

        WakeCare();
    }

    private void NoteReplicaLost(ulong stripe, int sponsor, ulong slab)
    {
        Write(stripe);
        if (_links.Of(sponsor) is { } link)
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
