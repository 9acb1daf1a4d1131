using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

public sealed class PagerInstrumentsTests
{
    [Fact]
    public async Task A_scrape_shows_the_pagers_figures_and_promtool_accepts_it()
    {
        var snapshot = new PagerSnapshot
        {
            Faults = 11,
            HardFaults = 12,
            ZeroFills = 13,
            PagesIn = 14,
            PagesOut = 15,
            PagesDropped = 16,
            PagesPrefetched = 17,
            PrefetchUsed = 18,
            PrefetchWasted = 19,
            PagesLost = 20,
            StagingHits = 21,
            RoomWaits = 22,
            SegmentBytes = 23,
            BudgetBytes = 24,
            ResidentBytes = 25,
            ResidentPeakBytes = 26,
            RemoteBytes = 27,
            WriteBackQueue = 28,
            Reconnects = 29,
            Sponsors = 30,
            SponsorsLost = 31,
            StripesLacking = 32,
            PagesCorrupted = 33,
            SpilledBytes = 34,
            PagesRepaired = 35,
            ReadsHedged = 36,
            HedgesWon = 37,
            SponsorsSilent = 38,
            StripesCrowded = 39,
            Transport = "tcp",
            TransportReason = "no RDMA device \"here\"",
        };
        var latencies = new LatencyHistogram();
        latencies.Record(13_400);
        var instruments = new PagerInstruments(() => snapshot, latencies.CopyTo);
        using MetricsEndpoint endpoint = MetricsEndpoint.Start("127.0.0.1:0", instruments.Registry);
        using var client = new HttpClient();
        string text = await client.GetStringAsync($"http://{endpoint.EndPoint}/metrics");
        string[] expected =
        [
            "faults_total 11", "hard_faults_total 12", "zero_fills_total 13", "pages_in_total 14", "pages_out_total 15",
            "pages_dropped_total 16", "pages_prefetched_total 17", "prefetch_used_total 18", "prefetch_wasted_total 19",
            "pages_lost_total 20", "staging_hits_total 21", "room_waits_total 22", "segment_bytes 23", "budget_bytes 24",
            "resident_bytes 25", "resident_peak_bytes 26", "remote_bytes 27", "write_back_queue_pages 28", "reconnects_total 29",
            "sponsors 30", "sponsors_lost 31", "sponsors_silent 38", "stripes_lacking 32", "pages_corrupted_total 33", "spilled_bytes 34",
            "pages_repaired_total 35", "reads_hedged_total 36", "hedges_won_total 37", "stripes_crowded 39",
            "transport_info{reason=\"no RDMA device \\\"here\\\"\",transport=\"tcp\"} 1",
            "fault_latency_seconds_bucket{le=\"1.5e-05\"} 1", "fault_latency_seconds_count 1",
        ];
        Assert.All(expected, line => Assert.Contains($"\nheca_pager_{line}\n", text, StringComparison.Ordinal));
        Promtool.Check(text);

        // Asked anew at each scrape.
        snapshot = snapshot with { Faults = 99 };
        Assert.Contains("heca_pager_faults_total 99\n", await client.GetStringAsync($"http://{endpoint.EndPoint}/metrics"), StringComparison.Ordinal);
    }
}
