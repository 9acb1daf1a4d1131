using Hecatonchire.Pager;

namespace Hecatonchire.Metrics;

/// <summary>
/// The pager's figures for Prometheus. All are read at a scrape: the pager thread only adds to fields of its own, and whoever
/// scrapes reads them, all from one snapshot.
/// </summary>
internal sealed class PagerInstruments
{
    private PagerSnapshot _now;

    /// <summary>Both are called on the scraper's thread, at each scrape.</summary>
    public PagerInstruments(Func<PagerSnapshot> snapshot, Action<LatencyHistogram> copyLatencies)
    {
        (Snapshot, CopyLatencies) = (snapshot, copyLatencies);
        Registry.Before(() => _now = snapshot());
        AddCounters();
        AddGauges();
        Registry.Latencies("heca_pager_fault_latency_seconds", "Time from reading a fault event to its page being installed.", copyLatencies);
    }

    public PagerInstruments(IPagerHost pager)
        : this(pager.Snapshot, pager.CopyLatencies)
    {
    }

    /// <summary>The figures now, of all programs in one.</summary>
    public Func<PagerSnapshot> Snapshot { get; }

    public Action<LatencyHistogram> CopyLatencies { get; }

    /// <summary>For <see cref="MetricsEndpoint.Start"/>.</summary>
    public MetricsRegistry Registry { get; } = new();

    private void AddCounters()
    {
        Counter("heca_pager_faults_total", "Page faults of the program.", s => s.Faults);
        Counter("heca_pager_hard_faults_total", "Faults that needed the sponsor.", s => s.HardFaults);
        Counter("heca_pager_zero_fills_total", "Pages touched for the first time, filled without the network.", s => s.ZeroFills);
        Counter("heca_pager_write_faults_total", "First writes to pages that had come in unchanged.", s => s.WriteFaults);
        Counter("heca_pager_pages_in_total", "Pages fetched from sponsors, prefetched ones included.", s => s.PagesIn);
        Counter("heca_pager_pages_out_total", "Pages written back to sponsors.", s => s.PagesOut);
        Counter("heca_pager_pages_cleaned_total", "Of the pages written back, those written ahead of need while the program did not fault.", s => s.PagesCleaned);
        Counter("heca_pager_pages_dropped_total", "Clean pages evicted without a write.", s => s.PagesDropped);
        Counter("heca_pager_pages_prefetched_total", "Pages fetched before a fault asked for them.", s => s.PagesPrefetched);
        Counter("heca_pager_prefetch_used_total", "Prefetched pages that the program used.", s => s.PrefetchUsed);
        Counter("heca_pager_prefetch_wasted_total", "Prefetched pages evicted unused.", s => s.PrefetchWasted);
        Counter("heca_pager_pages_lost_total", "Pages that no sponsor can return.", s => s.PagesLost);
        Counter("heca_pager_pages_corrupted_total", "Times that what came from a sponsor was not what had been written; it was read again.", s => s.PagesCorrupted);
        Counter("heca_pager_pages_repaired_total", "Pages that were written anew to a replica that did not have them as they were written.", s => s.PagesRepaired);
        Counter("heca_pager_reads_hedged_total", "Reads that were late and were asked of a second replica.", s => s.ReadsHedged);
        Counter("heca_pager_hedges_won_total", "Those of them that the second replica answered first.", s => s.HedgesWon);
        Counter("heca_pager_reconnects_total", "Data connections that ended and were rebuilt, without loss.", s => s.Reconnects);
        Counter("heca_pager_staging_hits_total", "Faults answered from the staging area.", s => s.StagingHits);
        Counter("heca_pager_room_waits_total", "Faults that waited until a page had left.", s => s.RoomWaits);
    }

    private void AddGauges()
    {
        Gauge("heca_pager_segment_bytes", "Sponsored memory allocated by the program.", s => s.SegmentBytes);
        Gauge("heca_pager_budget_bytes", "Bound of resident sponsored memory now.", s => s.BudgetBytes);
        Gauge("heca_pager_resident_bytes", "Sponsored memory resident in the program.", s => s.ResidentBytes);
        Gauge("heca_pager_resident_peak_bytes", "Largest resident sponsored memory.", s => s.ResidentPeakBytes);
        Gauge("heca_pager_remote_bytes", "Memory whose only copies are on sponsors.", s => s.RemoteBytes);
        Gauge("heca_pager_write_back_queue_pages", "Pages taken out whose write-back is not acknowledged.", s => s.WriteBackQueue);
        Gauge("heca_pager_sponsors", "Sponsors that are not lost.", s => s.Sponsors);
        Gauge("heca_pager_sponsors_lost", "Sponsors that are lost and have not come back.", s => s.SponsorsLost);
        Gauge("heca_pager_sponsors_silent", "Sponsors that are not lost and do not answer just now.", s => s.SponsorsSilent);
        Gauge("heca_pager_spilled_bytes", "What the spill file takes of its disk: no sponsor had room.", s => s.SpilledBytes);
        Gauge("heca_pager_stripes_lacking", "Stripes that have fewer replicas than they should.", s => s.StripesLacking);
        Gauge("heca_pager_stripes_crowded", "Stripes of which two replicas are in the same place, in the terms of --spread.", s => s.StripesCrowded);
        Registry.Gauges(
            "heca_pager_transport_info", "The transport in use (label), and why it was taken.", ["reason", "transport"],
            () => [([_now.TransportReason, _now.Transport], 1)]);
    }

    private void Counter(string name, string help, Func<PagerSnapshot, long> value) => Registry.Counter(name, help, () => value(_now));

    private void Gauge(string name, string help, Func<PagerSnapshot, long> value) => Registry.Gauge(name, help, () => value(_now));
}
