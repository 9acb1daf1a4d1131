namespace Hecatonchire.Pager;

/// <summary>The pager's counters at one moment. Pages are 4 KiB; all counters grow from the start of the session.</summary>
internal readonly record struct PagerSnapshot
{
    public long SegmentBytes { get; init; }
    public long BudgetBytes { get; init; }
    public long ResidentBytes { get; init; }
    public long ResidentPeakBytes { get; init; }
    public long RemoteBytes { get; init; }
    public long Faults { get; init; }

    /// <summary>Faults that needed the sponsor.</summary>
    public long HardFaults { get; init; }

    /// <summary>First writes to pages that had come in unchanged and write-protected.</summary>
    public long WriteFaults { get; init; }
    public long ZeroFills { get; init; }
    public long PagesIn { get; init; }
    public long PagesOut { get; init; }
    public long PagesDropped { get; init; }

    public long PagesCleaned { get; init; }
    public long PagesPrefetched { get; init; }
    public long PrefetchUsed { get; init; }
    public long PrefetchWasted { get; init; }
    public long PagesLost { get; init; }

    /// <summary>Pages taken out of the program whose write-back is not acknowledged yet.</summary>
    public long WriteBackQueue { get; init; }
    public long StagingHits { get; init; }

    /// <summary>Faults that had to wait until a page had left.</summary>
    public long RoomWaits { get; init; }

    /// <summary>How often the data connections to the sponsor ended and were rebuilt.</summary>
    public long Reconnects { get; init; }

    /// <summary>Children that the program has forked with its captured memory.</summary>
    public long Forks { get; init; }

    /// <summary>Sponsors that are not lost, those that are, and stripes that have fewer replicas than they should.</summary>
    public long Sponsors { get; init; }
    public long SponsorsLost { get; init; }

    /// <summary>Of those that are not lost, how many do not answer just now.</summary>
    public long SponsorsSilent { get; init; }
    public long StripesLacking { get; init; }

    /// <summary>Stripes of which two replicas are in the same place, in the terms of --spread.</summary>
    public long StripesCrowded { get; init; }

    /// <summary>What spill files take of their disks.</summary>
    public long SpilledBytes { get; init; }

    /// <summary>How often what came from a sponsor was not what had been written; it is read again, from another where there is one.</summary>
    public long PagesCorrupted { get; init; }

    /// <summary>Pages that were written anew to a replica that did not have them as they were written.</summary>
    public long PagesRepaired { get; init; }

    /// <summary>Reads that were late and were asked of a second replica, and those of them that it answered first.</summary>
    public long ReadsHedged { get; init; }
    public long HedgesWon { get; init; }
    public string Transport { get; init; }
    public string TransportReason { get; init; }

    /// <summary>Of two programs together; the bound and the peak are the greater one's.</summary>
    public PagerSnapshot Plus(in PagerSnapshot other) => new()
    {
        SegmentBytes = SegmentBytes + other.SegmentBytes,
        BudgetBytes = Math.Max(BudgetBytes, other.BudgetBytes),
        ResidentBytes = ResidentBytes + other.ResidentBytes,
        ResidentPeakBytes = Math.Max(ResidentPeakBytes, other.ResidentPeakBytes),
        RemoteBytes = RemoteBytes + other.RemoteBytes,
        Faults = Faults + other.Faults,
        HardFaults = HardFaults + other.HardFaults,
        WriteFaults = WriteFaults + other.WriteFaults,
        ZeroFills = ZeroFills + other.ZeroFills,
        PagesIn = PagesIn + other.PagesIn,
        PagesOut = PagesOut + other.PagesOut,
        PagesDropped = PagesDropped + other.PagesDropped,
        PagesCleaned = PagesCleaned + other.PagesCleaned,
        PagesPrefetched = PagesPrefetched + other.PagesPrefetched,
        PrefetchUsed = PrefetchUsed + other.PrefetchUsed,
        PrefetchWasted = PrefetchWasted + other.PrefetchWasted,
        PagesLost = PagesLost + other.PagesLost,
        WriteBackQueue = WriteBackQueue + other.WriteBackQueue,
        StagingHits = StagingHits + other.StagingHits,
        RoomWaits = RoomWaits + other.RoomWaits,
        Reconnects = Math.Max(Reconnects, other.Reconnects),
        Forks = Forks + other.Forks,
        Sponsors = Math.Max(Sponsors, other.Sponsors),
        SponsorsLost = Math.Max(SponsorsLost, other.SponsorsLost),
        SponsorsSilent = Math.Max(SponsorsSilent, other.SponsorsSilent),
        StripesLacking = StripesLacking + other.StripesLacking,
        StripesCrowded = StripesCrowded + other.StripesCrowded,
        PagesCorrupted = PagesCorrupted + other.PagesCorrupted,
        PagesRepaired = PagesRepaired + other.PagesRepaired,
        ReadsHedged = ReadsHedged + other.ReadsHedged,
        HedgesWon = HedgesWon + other.HedgesWon,
        SpilledBytes = SpilledBytes + other.SpilledBytes,
        Transport = other.Transport,
        TransportReason = other.TransportReason,
    };
}
