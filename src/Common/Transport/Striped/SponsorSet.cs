using System.Diagnostics;
using Hecatonchire.Transport.Sealing;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// The sponsors that a program's stripes are on, and the two connections over all of them: <see cref="Reader"/> and <see cref="Writer"/>. A sponsor has a number
/// while it is here. Used by the pager thread only, or before it runs.
/// </summary>
internal sealed class SponsorSet : IDisposable
{
    /// <summary>Sponsors at once: a request knows its own by a bit each.</summary>
    public const int SponsorsMax = 64;

    private readonly Func<long>? _ticks;
    private readonly bool[] _isLost = new bool[SponsorsMax];

    /// <param name="policy">Which replica reads go to.</param>
    /// <param name="silenceMsMax">How long a sponsor may leave requests unanswered that another could answer.</param>
    /// <param name="hedging">When a late read is asked of a second replica; null: never.</param>
    /// <param name="seals">What pages are sealed with; null: they are not. The caller's, and there as long as this.</param>
    /// <param name="clock">Milliseconds; null: the system's.</param>
    /// <param name="ticks">Of the stopwatch; null: the system's.</param>
    public SponsorSet(ReadPolicy policy, int silenceMsMax, Hedging? hedging = null, SealFile? seals = null, Func<long>? clock = null, Func<long>? ticks = null)
    {
        SilenceMsMax = silenceMsMax;
        Clock = clock ?? (static () => Environment.TickCount64);
        _ticks = ticks;
        Sealer = seals is null ? null : new PageSealer(seals);
        Stripes = new StripeTable(seals);
        Reader = new StripedConnection(this, isWriter: false, policy, hedging);
        Writer = new StripedConnection(this, isWriter: true, policy, hedging: null);
    }

    public StripeTable Stripes { get; }

    /// <summary>Seals what is written and opens what is read; null: neither.</summary>
    public PageSealer? Sealer { get; }

    public StripedConnection Reader { get; }

    public StripedConnection Writer { get; }

    /// <summary>Fills new replicas; null: none are made.</summary>
    public StripeCopier? Copier { get; set; }

    /// <summary>Writes wrong pages anew; null: they stay wrong.</summary>
    public StripeRepair? Repair { get; set; }

    /// <summary>A sponsor is lost, for this reason if it is known; before its stripes are.</summary>
    public Action<int, string?>? OnSponsorLost { get; init; }

    /// <summary>A stripe has lost a replica: stripe, sponsor, slab.</summary>
    public Action<ulong, int, ulong>? OnReplicaLost { get; init; }

    /// <summary>A stripe has lost its last replica.</summary>
    public Action<ulong>? OnStripeLost { get; init; }

    /// <summary>What came from a sponsor was not what had been written; it is read again.</summary>
    public Action<int>? OnCorrupted { get; init; }

    /// <summary>No attempt brought what had been written: stripe, pages of the request.</summary>
    public Action<ulong, int>? OnGivenUp { get; init; }

    internal int SilenceMsMax { get; }

    internal Func<long> Clock { get; }

    /// <summary>Now, in ticks of the stopwatch: twice a request, so without a call through a delegate.</summary>
    internal long Ticks() => _ticks is null ? Stopwatch.GetTimestamp() : _ticks();

    /// <summary>Sponsors that are not lost.</summary>
    public int Count { get; private set; }

    public bool IsSealed => Sealer is not null;

    /// <summary>After what is posted has ended.</summary>
    public void Dispose()
    {
        Copier?.Dispose();
        Repair?.Dispose();
        Reader.Dispose();
        Writer.Dispose();
        Stripes.Dispose();
        Sealer?.Dispose();
    }

    /// <summary>Adds a sponsor by its two connections, which stay the caller's, and returns its number; -1 when there are too many. Throws <see cref="DataConnectionException"/>.</summary>
    public int Add(ISponsorConnection reader, ISponsorConnection writer)
    {
        int number = 0;
        while (number < SponsorsMax && Reader.Knows(number))
        {
            number++;
        }

        if (number == SponsorsMax)
        {
            return -1;
        }

        Reader.Add(number, reader);
        Writer.Add(number, writer);
        _isLost[number] = false;
        Count++;
        return number;
    }

    /// <summary>Forgets a sponsor that holds no replica; nothing is in flight there.</summary>
    public void Remove(int number)
    {
        Count -= _isLost[number] ? 0 : 1;
        Reader.Remove(number);
        Writer.Remove(number);
    }

    /// <summary>True when a sponsor will answer no request any more.</summary>
    public bool IsLost(int sponsor) => _isLost[sponsor];

    /// <summary>True when nothing in flight on a sponsor was posted before <paramref name="timestamp"/>, of the stopwatch.</summary>
    public bool IsQuiet(int sponsor, long timestamp) => Reader.IsQuiet(sponsor, timestamp) && Writer.IsQuiet(sponsor, timestamp);

    /// <summary>True while anything in flight is about a stripe: its slabs are not to be given back before <see cref="IsQuiet"/>.</summary>
    public bool IsInUse(ulong stripe) => Reader.IsInUse(stripe) || Writer.IsInUse(stripe);

    /// <summary>Adds a replica to a stripe and begins to fill it; false where the stripe is another by now, or needs none.</summary>
    public bool TryFill(ulong number, uint slots, int sponsor, ulong slab)
    {
        if (Stripes[number] is not { IsLost: false } stripe || stripe.Slots != slots || Copier is not { IsBusy: false } || _isLost[sponsor] || Find(stripe, sponsor) >= 0)
        {
            return false;
        }

        int place = Array.FindIndex(stripe.Replicas, static replica => replica.State == ReplicaState.None);
        if (place < 0)
        {
            return false;
        }

        stripe.Replicas[place] = new Replica { Sponsor = sponsor, Slab = slab, State = ReplicaState.Filling };
        Copier.Begin(number, sponsor);
        return true;
    }

    /// <summary>A sponsor is lost: nothing that it holds is read again.</summary>
    internal void NoteLost(int sponsor, string? why)
    {
        if (_isLost[sponsor])
        {
            return;
        }

        _isLost[sponsor] = true;
        Count--;
        OnSponsorLost?.Invoke(sponsor, why);
        for (int number = 0; number < Stripes.Count; number++)
        {
            DropReplica((ulong)number, sponsor);
        }
    }

    /// <summary>The sponsor's replica of the stripe, if it has one, is never read again.</summary>
    internal void DropReplica(ulong number, int sponsor)
    {
        if (Stripes[number] is not { } stripe)
        {
            return;
        }

        int index = Find(stripe, sponsor);
        if (index < 0)
        {
            return;
        }

        ulong slab = stripe.Replicas[index].Slab;
        stripe.Replicas[index] = default;
        OnReplicaLost?.Invoke(number, sponsor, slab);
        if (stripe.IsLost || Array.Exists(stripe.Replicas, static replica => replica.State == ReplicaState.Live))
        {
            return;
        }

        stripe.IsLost = true;
        OnStripeLost?.Invoke(number);
        for (int i = 0; i < stripe.Replicas.Length; i++)
        {
            // Filled in part, from what is gone.
            if (stripe.Replicas[i].State == ReplicaState.Filling)
            {
                DropReplica(number, stripe.Replicas[i].Sponsor);
            }
        }
    }

    /// <summary>True when the program has written meanwhile to a slot of what an owner asks for.</summary>
    internal bool IsDirty(StripedOwner owner, int number, uint slot) => owner == StripedOwner.Copier ? Copier!.IsDirty(number, slot) : Repair!.IsDirty;

    /// <summary>What an owner has asked for has ended.</summary>
    internal void NoteEnd(StripedOwner owner, int number, DataStatus status)
    {
        if (owner == StripedOwner.Copier)
        {
            Copier?.NoteEnd(number, status);
        }
        else
        {
            Repair?.NoteEnd(status);
        }
    }

    /// <summary>The place of the sponsor's replica; -1 when it has none.</summary>
    internal static int Find(StripeTable.Stripe stripe, int sponsor)
    {
        Replica[] replicas = stripe.Replicas;
        for (int i = 0; i < replicas.Length; i++)
        {
            if (replicas[i].State != ReplicaState.None && replicas[i].Sponsor == sponsor)
            {
                return i;
            }
        }

        return -1;
    }
}
