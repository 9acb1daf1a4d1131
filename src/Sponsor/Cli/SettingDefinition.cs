namespace Hecatonchire.Sponsor.Cli;

/// <summary>
/// One option: <c>--data-port</c> on the command line, <c>HECA_SPONSOR_DATA_PORT</c> in the environment, <c>data-port</c> in
/// the configuration file.
/// </summary>
internal sealed record SettingDefinition(string Name, string? Argument, string? Default, string Description)
{
    public const string EnvironmentPrefix = "HECA_SPONSOR_";

    private const string HostKeys = "/var/lib/heca";

    public string CommandLine => $"--{Name}";

    public string Environment => EnvironmentPrefix + Name.Replace('-', '_').ToUpperInvariant();

    /// <summary>A switch takes no argument on the command line, and true or false elsewhere.</summary>
    public bool IsSwitch => Argument is null;

    /// <summary>May be repeated on the command line and in the configuration file; in the environment its values are separated by commas.</summary>
    public bool IsList { get; init; }

    /// <summary>A value that it could have; where it has no default, its line in the configuration file that comes with the packages has this one.</summary>
    public string? Example { get; init; }

    /// <summary>The default as help and manual have it, which are the same for every user; null: none, or false.</summary>
    public string? DefaultText { get => field ?? (IsSwitch ? null : Default); init; }

    public static readonly SettingDefinition Listen = new("listen", "ADDRESS", "127.0.0.1", "The IP address to listen on");

    public static readonly SettingDefinition Port = new("port", "PORT", "7400", "The port of the control channel; 0 takes any");

    public static readonly SettingDefinition DataPort = new("data-port", "PORT", "7401", "The port of data connections; 0 takes any");

    public static readonly SettingDefinition Transport = new(
        "transport", "auto|rdma|tcp", "auto", "rdma: serve RDMA too, or do not start; auto: where there is a device; TCP is always served");

    public static readonly SettingDefinition Memory = new("memory", "SIZE", null, "The memory to offer, such as 8GiB; required") { Example = "8GiB" };

    public static readonly SettingDefinition PressureMax = new(
        "pressure-max", "PERCENT", "10", "Ask lent memory back while this host's programs wait for memory for more than this share of a second; 0: never");

    public static readonly SettingDefinition Keys = new(
        "keys", "DIR", DefaultKeys(), "Where the keys live: sponsor.secret, sponsor.public and sponsor.admin, made at the first start")
    {
        DefaultText = $"{HostKeys}, or for another user than root ~/.local/state/heca; as a service its StateDirectory",
        Example = HostKeys,
    };

    public static readonly SettingDefinition Trust = new(
        "trust", "FILE", null, "Serve only the keys in this file, which heca key trust writes; without, sponsor.trust in --keys if it is there, else whoever has sponsor.public")
    {
        Example = $"{HostKeys}/sponsor.trust",
    };

    public static readonly SettingDefinition GoneAfter = new(
        "gone-after", "SECONDS", "30", "Free the slabs of a demander that was silent and without data connection for so long");

    public static readonly SettingDefinition Label = new(
        "label", "NAME=VALUE", null, "Where this host is, such as rack=a: demanders spread replicas by it; may be repeated. `host` is this machine unless given")
    {
        IsList = true,
        Example = "rack=a",
    };

    public static readonly SettingDefinition Etcd = new(
        "etcd", "URL", null, "Register in this etcd, such as http://10.0.0.9:2379, so that demanders find it; may be repeated for the members of one etcd")
    {
        IsList = true,
        Example = "http://10.0.0.9:2379",
    };

    public static readonly SettingDefinition EtcdLease = new(
        "etcd-lease", "SECONDS", "10", "How long its registration outlives it if it dies");

    public static readonly SettingDefinition Advertise = new(
        "advertise", "ADDRESS", null, "The address to register, where demanders reach it by another than --listen")
    {
        Example = "10.0.0.2",
    };

    public static readonly SettingDefinition Cluster = new(
        "cluster", "ID", null, "The cluster it belongs to, 32 hexadecimal digits: demanders of another refuse it. Without, etcd's if --etcd is given")
    {
        Example = "0123456789abcdef0123456789abcdef",
    };

    public static readonly SettingDefinition Metrics = new("metrics", "HOST:PORT", null, "Serve Prometheus metrics at /metrics there, and a status page at /") { Example = "127.0.0.1:9400" };

    public static readonly SettingDefinition Otlp = new(
        "otlp", "URL", null, "Send the figures to this OpenTelemetry collector, over OTLP/HTTP, such as http://10.0.0.9:4318; OTEL_METRIC_EXPORT_INTERVAL says how often, in ms")
    {
        Example = "http://10.0.0.9:4318",
    };

    public static readonly SettingDefinition Announce = new(
        "announce", null, "false", "Print one line of JSON on standard output when ready: ports and public key");

    public static readonly SettingDefinition ExitWithStdin = new(
        "exit-with-stdin", null, "false", "Stop when standard input reaches its end");

    public static readonly SettingDefinition LogLevel = new(
        "log-level", "LEVEL", "warning", "trace, debug, information, warning, error, critical or none; the log goes to standard error");

    public static readonly SettingDefinition LogFormat = new(
        "log-format", "text|json|journald", "text", "How the log is written, one line an entry; journald: with the level as its priority, for a systemd unit");

    /// <summary>In the order of the help.</summary>
    public static readonly IReadOnlyList<SettingDefinition> All =
        [Memory, Listen, Port, DataPort, Transport, PressureMax, Keys, Trust, GoneAfter, Label, Etcd, EtcdLease, Advertise, Cluster, Metrics, Otlp, Announce, ExitWithStdin, LogLevel, LogFormat];

    private static string DefaultKeys()
    {
        // Where systemd has made a directory for this unit (StateDirectory=).
        if (System.Environment.GetEnvironmentVariable("STATE_DIRECTORY") is { Length: > 0 } unit && !unit.Contains(':', StringComparison.Ordinal))
        {
            return unit;
        }

        if (System.Environment.IsPrivilegedProcess)
        {
            return HostKeys;
        }

        string state = System.Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile), ".local", "state");
        return Path.Combine(state, "heca");
    }
}
