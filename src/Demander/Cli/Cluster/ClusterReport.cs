using System.Globalization;
using System.Text.Json;
using Hecatonchire.Status;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>Sponsors and this host's programs, as `heca cluster status` prints them.</summary>
internal static class ClusterReport
{
    public static readonly string[] ProgramColumns = ["program", "pid", "here", "remote", "sponsors", "lost", "stripes lacking a replica"];

    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static string ToJson(IReadOnlyList<SponsorReport> sponsors, IReadOnlyList<StatusReport> programs, EtcdReport? etcd) =>
        JsonSerializer.Serialize(new { Sponsors = sponsors, Programs = programs, Etcd = etcd }, s_json);

    public static string[] ProgramCells(StatusReport program) =>
    [
        program.Name, program.Program.ToString(CultureInfo.InvariantCulture), new ByteSize(program.ResidentBytes).ToString(), new ByteSize(program.RemoteBytes).ToString(),
        program.Sponsors.ToString(CultureInfo.InvariantCulture), program.SponsorsLost.ToString(CultureInfo.InvariantCulture), program.StripesLacking.ToString(CultureInfo.InvariantCulture),
    ];
}
