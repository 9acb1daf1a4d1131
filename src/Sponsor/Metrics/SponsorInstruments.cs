using Hecatonchire.Metrics;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Serving.Rdma;
using Hecatonchire.Sponsor.Slabs;

namespace Hecatonchire.Sponsor.Metrics;

/// <summary>
/// The sponsor's figures for Prometheus. All are read at a scrape: the threads that do the work count in fields of their own.
/// </summary>
internal sealed class SponsorInstruments
{
    public SponsorInstruments(SlabStore store, DataServerCounters served, RdmaServer rdma, ControlServer control, RequestHandler requests)
    {
        Registry.Gauge("heca_sponsor_offered_bytes", "Memory this sponsor offers", () => store.OfferedBytes);
        Registry.Gauge("heca_sponsor_lent_bytes", "Memory lent in slabs", () => store.LentBytes);
        Registry.Gauge("heca_sponsor_demanders", "Demanders known", () => store.DemanderCount);
        Registry.Gauges(
            "heca_sponsor_demander_lent_bytes", "Memory lent to one demander", ["demander", "name"],
            () => store.LentByDemander().Select(lent => (new[] { lent.Id.ToString(), lent.Name }, lent.LentBytes)));
        Registry.Gauge("heca_sponsor_data_connections", "Data connections open", () => Volatile.Read(ref served.ConnectionsOpen));
        Registry.Counter("heca_sponsor_data_connections_accepted_total", "Data connections accepted", () => Volatile.Read(ref served.ConnectionsAccepted));
        Registry.Gauge("heca_sponsor_rdma_connections", "RDMA connections open", () => rdma.ConnectionsOpen);
        Registry.Gauge("heca_sponsor_rdma_exposed_bytes", "Slab memory that is pinned and open to RDMA", () => rdma.ExposedBytes);
        Registry.Counter("heca_sponsor_pages_read_total", "Pages that demanders read over TCP", () => Volatile.Read(ref served.PagesRead));
        Registry.Counter("heca_sponsor_pages_written_total", "Pages that demanders wrote over TCP", () => Volatile.Read(ref served.PagesWritten));
        Registry.Counters(
            "heca_sponsor_data_refused_total", "Data connections refused or closed, by reason", "reason",
            () => Enum.GetValues<RefusalReason>().Select(reason => (reason.ToString(), served.Refused(reason))));
        Registry.Counter("heca_sponsor_control_requests_total", "Control requests answered, errors included", () => requests.Served);
        Registry.Counter("heca_sponsor_control_refused_total", "Control requests answered with an error", () => requests.Refused);
        Registry.Counter("heca_sponsor_control_dropped_total", "Control messages that were none", () => control.Dropped);
    }

    /// <summary>For <see cref="MetricsEndpoint.Start"/>.</summary>
    public MetricsRegistry Registry { get; } = new();
}
