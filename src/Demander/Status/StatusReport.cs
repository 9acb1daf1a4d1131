using System.Text.Json;
using System.Text.Json.Serialization;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>What a running pager tells of itself and its program: one JSON object. Counters grow from its start.</summary>
internal sealed record StatusReport
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>The process id of the pager.</summary>
    public required int Pager { get; init; }

    /// <summary>The process id of the program; 0 before it has started.</summary>
    public required int Program { get; init; }

    /// <summary>The program's path.</summary>
    public required string Command { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>`--local` as given.</summary>
    public required string Local { get; init; }

    /// <summary>True: whatever memory the program has is sponsored, once it needs it.</summary>
    public required bool IsCaptured { get; init; }

    /// <summary>HOST:PORT.</summary>
    public required string Sponsor { get; init; }

    public required string Transport { get; init; }

    public required long BudgetBytes { get; init; }

    public required long ResidentBytes { get; init; }

    public required long RemoteBytes { get; init; }

    public required long Faults { get; init; }

    public required long HardFaults { get; init; }

    public required long PagesIn { get; init; }

    public required long PagesOut { get; init; }

    public required long PagesDropped { get; init; }

    public required long PagesPrefetched { get; init; }

    public required long PrefetchUsed { get; init; }

    /// <summary>Of an older pager, 0.</summary>
    public long PrefetchWasted { get; init; }

    public required long PagesLost { get; init; }

    public required long WriteBackQueuePages { get; init; }

    public required long RoomWaits { get; init; }

    public required long Reconnects { get; init; }

    public required long Sponsors { get; init; }

    public required long SponsorsLost { get; init; }

    /// <summary>Sponsors that are not lost and do not answer just now; of an older pager, 0.</summary>
    public long SponsorsSilent { get; init; }

    /// <summary>Stripes that have fewer replicas than they should.</summary>
    public required long StripesLacking { get; init; }

    /// <summary>Stripes of which two replicas are in the same place, in the terms of --spread; of an older pager, 0.</summary>
    public long StripesCrowded { get; init; }

    /// <summary>What the spill file takes of its disk.</summary>
    public required long SpilledBytes { get; init; }

    /// <summary>How often what came from a sponsor was not what had been written.</summary>
    public required long PagesCorrupted { get; init; }

    /// <summary>Pages that were written anew to a replica that did not have them as they were written.</summary>
    public required long PagesRepaired { get; init; }

    /// <summary>Reads that were late and were asked of a second replica, and those of them that it answered first.</summary>
    public required long ReadsHedged { get; init; }
    public required long HedgesWon { get; init; }

    /// <summary>From the reading of a fault to its page being there, since the start: p50, p90, p99, p99.9.</summary>
    public required IReadOnlyList<double> FaultLatencyUs { get; init; }

    /// <summary>Why the pager could not go on; null while all is well.</summary>
    public required string? Failure { get; init; }

    [JsonIgnore]
    public string Name => Path.GetFileName(Command);

    /// <summary>The report of a pager now.</summary>
    public static StatusReport Of(IPagerHost pager, StatusSubject subject)
    {
        PagerSnapshot now = pager.Snapshot();
        var latencies = new LatencyHistogram();
        pager.CopyLatencies(latencies);
        return new StatusReport
        {
            Pager = Environment.ProcessId,
            Program = subject.Program,
            Command = subject.Command,
            Started = subject.Started,
            Local = subject.Local,
            IsCaptured = subject.IsCaptured,
            Sponsor = subject.Sponsor,
            Transport = now.Transport,
            BudgetBytes = now.BudgetBytes,
            ResidentBytes = now.ResidentBytes,
            RemoteBytes = now.RemoteBytes,
            Faults = now.Faults,
            HardFaults = now.HardFaults,
            PagesIn = now.PagesIn,
            PagesOut = now.PagesOut,
            PagesDropped = now.PagesDropped,
            PagesPrefetched = now.PagesPrefetched,
            PrefetchUsed = now.PrefetchUsed,
            PrefetchWasted = now.PrefetchWasted,
            PagesLost = now.PagesLost,
            WriteBackQueuePages = now.WriteBackQueue,
            RoomWaits = now.RoomWaits,
            Reconnects = now.Reconnects,
            Sponsors = now.Sponsors,
            SponsorsLost = now.SponsorsLost,
            SponsorsSilent = now.SponsorsSilent,
            StripesLacking = now.StripesLacking,
            StripesCrowded = now.StripesCrowded,
            SpilledBytes = now.SpilledBytes,
            PagesCorrupted = now.PagesCorrupted,
            PagesRepaired = now.PagesRepaired,
            ReadsHedged = now.ReadsHedged,
            HedgesWon = now.HedgesWon,
            FaultLatencyUs = Percentiles(latencies),
            Failure = pager.Failure,
        };
    }

    /// <summary>p50, p90, p99, p99.9 in microseconds.</summary>
    public static IReadOnlyList<double> Percentiles(LatencyHistogram latencies) =>
        [.. ((double[])[0.5, 0.9, 0.99, 0.999]).Select(share => Math.Round(latencies.Percentile(share) / 1000.0, 1))];

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, s_json);

    public static string ToJson(IReadOnlyList<StatusReport> reports) => JsonSerializer.Serialize(reports, s_json);

    /// <summary>Null for what is no report, as of a pager of another version.</summary>
    public static StatusReport? Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<StatusReport>(json, s_json) is { FaultLatencyUs.Count: 4, Command: not null, Sponsor: not null } report ? report : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>What a report tells beside the pager's figures.</summary>
internal sealed class StatusSubject
{
    private int _program;

    public required string Command { get; init; }

    public required string Local { get; init; }

    public required bool IsCaptured { get; init; }

    public required string Sponsor { get; init; }

    public DateTimeOffset Started { get; init; } = DateTimeOffset.UtcNow;

    public int Program
    {
        get => Volatile.Read(ref _program);
        set => Volatile.Write(ref _program, value);
    }
}
