using System.Diagnostics.Metrics;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Serving.Rdma;
using Hecatonchire.Sponsor.Slabs;

namespace Hecatonchire.Sponsor.Metrics;

/// <summary>
/// The sponsor's figures as instruments of the meter "Hecatonchire.Sponsor". All are observable: the threads that do the
/// work count in fields of their own, and a collector reads those.
/// </summary>
internal sealed class SponsorInstruments : IDisposable
{
    public const string MeterName = "Hecatonchire.Sponsor";

    private readonly Meter _meter = new(MeterName);

    public SponsorInstruments(SlabStore store, DataServerCounters served, RdmaServer rdma, ControlServer control, RequestHandler requests)
    {
        _meter.CreateObservableGauge("heca_sponsor_offered_bytes", () => store.OfferedBytes, "By", "Memory this sponsor offers");
        _meter.CreateObservableGauge("heca_sponsor_lent_bytes", () => store.LentBytes, "By", "Memory lent in slabs");
        _meter.CreateObservableGauge("heca_sponsor_demanders", () => store.DemanderCount, null, "Demanders known");
        _meter.CreateObservableGauge(
            "heca_sponsor_demander_lent_bytes", () => LentByDemander(store), "By", "Memory lent to one demander");
        _meter.CreateObservableGauge(
            "heca_sponsor_data_connections", () => Volatile.Read(ref served.ConnectionsOpen), null, "Data connections open");
        _meter.CreateObservableCounter(
            "heca_sponsor_data_connections_accepted", () => Volatile.Read(ref served.ConnectionsAccepted), null, "Data connections accepted");
        _meter.CreateObservableGauge("heca_sponsor_rdma_connections", () => rdma.ConnectionsOpen, null, "RDMA connections open");
        _meter.CreateObservableGauge(
            "heca_sponsor_rdma_exposed_bytes", () => rdma.ExposedBytes, "By", "Slab memory that is pinned and open to RDMA");
        _meter.CreateObservableCounter(
            "heca_sponsor_pages_read", () => Volatile.Read(ref served.PagesRead), null, "Pages that demanders read over TCP");
        _meter.CreateObservableCounter(
            "heca_sponsor_pages_written", () => Volatile.Read(ref served.PagesWritten), null, "Pages that demanders wrote over TCP");
        _meter.CreateObservableCounter(
            "heca_sponsor_data_refused", () => DataRefusals(served), null, "Data connections refused or closed, by reason");
        _meter.CreateObservableCounter(
            "heca_sponsor_control_requests", () => requests.Served, null, "Control requests answered, errors included");
        _meter.CreateObservableCounter(
            "heca_sponsor_control_refused", () => requests.Refused, null, "Control requests answered with an error");
        _meter.CreateObservableCounter(
            "heca_sponsor_control_dropped", () => control.Dropped, null, "Control messages that were none");
    }

    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<long>> LentByDemander(SlabStore store) =>
        store.LentByDemander().Select(lent => new Measurement<long>(
            lent.LentBytes,
            new KeyValuePair<string, object?>("demander", lent.Id.ToString()),
            new KeyValuePair<string, object?>("name", lent.Name)));

    private static IEnumerable<Measurement<long>> DataRefusals(DataServerCounters served) =>
        Enum.GetValues<RefusalReason>().Select(reason => new Measurement<long>(
            served.Refused(reason), new KeyValuePair<string, object?>("reason", reason.ToString())));
}
