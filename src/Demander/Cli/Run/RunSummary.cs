using System.Globalization;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Run;

/// <summary>`--stats`: what the pager did for the program, for a person to read.</summary>
internal static class RunSummary
{
    public static void Write(TextWriter output, IPagerHost pager)
    {
        PagerSnapshot now = pager.Snapshot();
        var latencies = new LatencyHistogram();
        pager.CopyLatencies(latencies);
        Line(output, "resident peak", $"{new ByteSize(now.ResidentPeakBytes)}, budget {new ByteSize(now.BudgetBytes)}");
        Line(output, "faults", $"{now.Faults:N0}: {now.HardFaults:N0} from the sponsor, {now.ZeroFills:N0} pages filled with zeros, {now.StagingHits:N0} from staging, {now.RoomWaits:N0} waited for room");
        Line(output, "pages", $"{now.PagesIn:N0} in, {now.PagesOut:N0} out, {now.PagesDropped:N0} dropped clean, {now.PagesLost:N0} lost");
        Line(output, "prefetched", $"{now.PagesPrefetched:N0}: {now.PrefetchUsed:N0} used, {now.PrefetchWasted:N0} wasted");
        if (now.Forks > 0)
        {
            Line(output, "forked", $"{now.Forks:N0} children with the program's memory; their pages are in these figures");
        }

        Line(output, "fault latency", $"p50 {Us(latencies, 0.5)}, p90 {Us(latencies, 0.9)}, p99 {Us(latencies, 0.99)}, p99.9 {Us(latencies, 0.999)}, max {(latencies.Max / 1000.0).ToString("0.0", CultureInfo.InvariantCulture)} us");
        Line(output, "transport", $"{now.Transport} ({now.TransportReason})");
    }

    private static string Us(LatencyHistogram latencies, double share) =>
        (latencies.Percentile(share) / 1000.0).ToString("0.0", CultureInfo.InvariantCulture);

    private static void Line(TextWriter output, string name, FormattableString value) =>
        output.WriteLine($"heca: {name,-14} {value.ToString(CultureInfo.InvariantCulture)}");
}
