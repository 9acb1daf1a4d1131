using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Hecatonchire.Status;

/// <summary>What the status page shows of any daemon: /status.json. Each kind of daemon adds its own.</summary>
internal abstract record DaemonReport
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { LeaveAddressesOut } },
    };

    /// <summary>heca-sponsor, heca pager or heca run.</summary>
    public required string Daemon { get; init; }

    public string Version { get; } = typeof(DaemonReport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    public string Host { get; } = Environment.MachineName;

    public int Process { get; } = Environment.ProcessId;

    public required DateTimeOffset Started { get; init; }

    public required DateTimeOffset Now { get; init; }

    /// <summary>As `heca cluster status --json` has them; null: this daemon does not know any.</summary>
    public required IReadOnlyList<SponsorReport>? Sponsors { get; init; }

    /// <summary>The newest first.</summary>
    public required IReadOnlyList<LoggedEvent> Events { get; init; }

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, GetType(), s_json);

    /// <summary>Where a program has its memory helps who attacks it, and everybody on this host can ask: `heca segment list` tells its user.</summary>
    private static void LeaveAddressesOut(JsonTypeInfo type)
    {
        foreach (JsonPropertyInfo address in type.Properties.Where(property => property.Name == "address").ToArray())
        {
            _ = type.Properties.Remove(address);
        }
    }
}
