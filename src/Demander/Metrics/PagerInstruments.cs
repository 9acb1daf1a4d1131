using System.Diagnostics.Metrics;
using Hecatonchire.Pager;

namespace Hecatonchire.Metrics;

/// <summary>
/// The pager's figures as instruments. All are observable: the pager thread only adds to fields of its own, and
/// whoever scrapes reads them.
/// </summary>
internal sealed class PagerInstruments : IDisposable
{
    public const string MeterName = "Hecatonchire.Pager";

    private readonly Meter _meter = new(MeterName);
    private readonly Func<PagerSnapshot> _snapshot;

    /// <summary>Both are called on the scraper's thread, at each scrape.</summary>
    public PagerInstruments(Func<PagerSnapshot> snapshot, Action<LatencyHistogram> copyLatencies)
    {
        _snapshot = snapshot;
        Latencies = new LatencySource(
            "heca_pager_fault_latency", "Time from reading a fault event to its page being installed.", copyLatencies);
        AddCounters();
        AddGauges();
    }

    public PagerInstruments(IPagerHost pager)
        : this(pager.Snapshot, pager.CopyLatencies)
    {
    }

    public LatencySource Latencies { get; }

    /// <summary>A collector over these instruments, for <see cref="MetricsEndpoint.Start"/>.</summary>
    public MetricsCollector CreateCollector() => new([MeterName], Latencies);

    public void Dispose() => _meter.Dispose();

    private void AddCounters()
    {
        Counter("heca_pager_faults", "{fault}", "Page faults of the program.", s => s.Faults);
        Counter("heca_pager_hard_faults", "{fault}", "Faults that needed the sponsor.", s => s.HardFaults);
        Counter("heca_pager_zero_fills", "{page}", "Pages touched for the first time, filled without the network.", s => s.ZeroFills);
        Counter("heca_pager_write_faults", "{fault}", "First writes to pages that had come in unchanged.", s => s.WriteFaults);
        Counter("heca_pager_pages_in", "{page}", "Pages fetched from sponsors, prefetched ones included.", s => s.PagesIn);
        Counter("heca_pager_pages_out", "{page}", "Pages written back to sponsors.", s => s.PagesOut);
        Counter("heca_pager_pages_cleaned", "{page}", "Of the pages written back, those written ahead of need while the program did not fault.", s => s.PagesCleaned);
        Counter("heca_pager_pages_dropped", "{page}", "Clean pages evicted without a write.", s => s.PagesDropped);
        Counter("heca_pager_pages_prefetched", "{page}", "Pages fetched before a fault asked for them.", s => s.PagesPrefetched);
        Counter("heca_pager_prefetch_used", "{page}", "Prefetched pages that the program used.", s => s.PrefetchUsed);
        Counter("heca_pager_prefetch_wasted", "{page}", "Prefetched pages evicted unused.", s => s.PrefetchWasted);
        Counter("heca_pager_pages_lost", "{page}", "Pages that no sponsor can return.", s => s.PagesLost);
        Counter("heca_pager_reconnects", "{reconnect}", "Data connections that ended and were rebuilt, without loss.", s => s.Reconnects);
        Counter("heca_pager_staging_hits", "{fault}", "Faults answered from the staging area.", s => s.StagingHits);
        Counter("heca_pager_room_waits", "{fault}", "Faults that waited until a page had left.", s => s.RoomWaits);
    }

    private void AddGauges()
    {
        Gauge("heca_pager_segment", "By", "Sponsored memory allocated by the program.", s => s.SegmentBytes);
        Gauge("heca_pager_budget", "By", "Bound of resident sponsored memory now.", s => s.BudgetBytes);
        Gauge("heca_pager_resident", "By", "Sponsored memory resident in the program.", s => s.ResidentBytes);
        Gauge("heca_pager_resident_peak", "By", "Largest resident sponsored memory.", s => s.ResidentPeakBytes);
        Gauge("heca_pager_remote", "By", "Memory whose only copies are on sponsors.", s => s.RemoteBytes);
        Gauge("heca_pager_write_back_queue_pages", "{page}", "Pages taken out whose write-back is not acknowledged.", s => s.WriteBackQueue);
        Gauge("heca_pager_sponsors", "{sponsor}", "Sponsors that are not lost.", s => s.Sponsors);
        Gauge("heca_pager_sponsors_lost", "{sponsor}", "Sponsors that are lost and have not come back.", s => s.SponsorsLost);
        Gauge("heca_pager_spilled_bytes", "By", "What the spill file takes of its disk: no sponsor had room.", s => s.SpilledBytes);
        Counter("heca_pager_pages_corrupted", "{page}", "Times that what came from a sponsor was not what had been written; it was read again.", s => s.PagesCorrupted);
        Counter("heca_pager_pages_repaired", "{page}", "Pages that were written anew to a replica that did not have them as they were written.", s => s.PagesRepaired);
        Counter("heca_pager_reads_hedged", "{read}", "Reads that were late and were asked of a second replica.", s => s.ReadsHedged);
        Counter("heca_pager_hedges_won", "{read}", "Those of them that the second replica answered first.", s => s.HedgesWon);
        Gauge("heca_pager_stripes_lacking", "{stripe}", "Stripes that have fewer replicas than they should.", s => s.StripesLacking);
        _meter.CreateObservableGauge(
            "heca_pager_transport_info", ObserveTransport, null, "The transport in use (label), and why it was taken.");
    }

    private Measurement<long> ObserveTransport()
    {
        PagerSnapshot now = _snapshot();
        return new Measurement<long>(
            1, new KeyValuePair<string, object?>("transport", now.Transport), new KeyValuePair<string, object?>("reason", now.TransportReason));
    }

    private void Counter(string name, string unit, string help, Func<PagerSnapshot, long> value) =>
        _meter.CreateObservableCounter(name, () => value(_snapshot()), unit, help);

    private void Gauge(string name, string unit, string help, Func<PagerSnapshot, long> value) =>
        _meter.CreateObservableGauge(name, () => value(_snapshot()), unit, help);
}
