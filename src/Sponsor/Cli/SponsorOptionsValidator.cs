using System.Globalization;
using System.Net;
using Hecatonchire.Control;
using Hecatonchire.Hosting;
using Hecatonchire.Membership;
using Hecatonchire.Metrics;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Cli;

/// <summary>
/// Turns settings into options. Throws <see cref="UsageException"/> that names the option, the value, where it came from and
/// the rule it breaks.
/// </summary>
internal static class SponsorOptionsValidator
{
    private const int GoneAfterSecondsMax = 86_400;

    public static SponsorOptions Validate(Settings settings)
    {
        SponsorOptions options = new()
        {
            Listen = Parse<IPAddress>(
                settings,
                SettingDefinition.Listen,
                text => IPAddress.TryParse(text, out IPAddress? address) ? address : null,
                "must be an IP address of this host, such as 127.0.0.1 or 0.0.0.0"),
            Port = ParsePort(settings, SettingDefinition.Port),
            DataPort = ParsePort(settings, SettingDefinition.DataPort),
            Transport = Parse<TransportPreference?>(
                settings,
                SettingDefinition.Transport,
                text => TransportPreferences.TryParse(text, out TransportPreference preference) ? preference : null,
                $"must be {TransportPreferences.All}")!.Value,
            Memory = ParseMemory(settings),
            PressureMaxPercent = ParseInteger(settings, SettingDefinition.PressureMax, 0, 100, "percent"),
            Keys = Parse<string>(
                settings, SettingDefinition.Keys, text => text is { Length: > 0 } ? Path.GetFullPath(text) : null, "must be a directory"),
            Trust = settings[SettingDefinition.Trust].Value is null
                ? null
                : Parse(settings, SettingDefinition.Trust, text => text is { Length: > 0 } ? Path.GetFullPath(text) : null, "must be a file"),
            GoneAfter = TimeSpan.FromSeconds(ParseInteger(settings, SettingDefinition.GoneAfter, 1, GoneAfterSecondsMax, "seconds")),
            Labels = ParseLabels(settings),
            Etcd = ParseEtcd(settings),
            EtcdLease = TimeSpan.FromSeconds(ParseInteger(settings, SettingDefinition.EtcdLease, EtcdAddress.LeaseSecondsMin, GoneAfterSecondsMax, "seconds")),
            Advertise = settings[SettingDefinition.Advertise].Value is null
                ? null
                : Parse<string>(
                    settings, SettingDefinition.Advertise, text => Uri.CheckHostName(text) != UriHostNameType.Unknown ? text : null, "must be an address or a name of this host"),
            Cluster = settings[SettingDefinition.Cluster].Value is null
                ? Guid.Empty
                : Parse<Guid?>(
                    settings, SettingDefinition.Cluster, text => ClusterId.TryParse(text, out Guid id) ? id : null, ClusterId.Rule)!.Value,
            Metrics = settings[SettingDefinition.Metrics].Value is null
                ? null
                : Parse(
                    settings,
                    SettingDefinition.Metrics,
                    text => ListenAddress.TryParse(text!, out IPEndPoint address, out _) ? address : null,
                    "must be HOST:PORT or PORT, such as 127.0.0.1:9400, with a host of this machine and a port from 0 to 65535"),
            Otlp = settings[SettingDefinition.Otlp].Value is null
                ? null
                : Parse(settings, SettingDefinition.Otlp, text => OtlpExport.TryParse(text!, out Uri? collector) ? collector : null, OtlpExport.Rule),
            Announce = ParseSwitch(settings, SettingDefinition.Announce),
            ExitWithStdin = ParseSwitch(settings, SettingDefinition.ExitWithStdin),
            LogLevel = Parse<LogLevel?>(
                settings,
                SettingDefinition.LogLevel,
                text => !int.TryParse(text, out _) && Enum.TryParse(text, ignoreCase: true, out LogLevel level) ? level : null,
                "must be trace, debug, information, warning, error, critical or none")!.Value,
            LogFormat = Parse<LogFormat?>(
                settings, SettingDefinition.LogFormat, text => DaemonLogging.TryParse(text, out LogFormat? format) ? format : null, "must be text, json or journald")!.Value,
        };

        return options.Port == 0 || options.Port != options.DataPort
            ? options
            : throw new UsageException(
                $"{Name(settings, SettingDefinition.DataPort)}: must differ from {Name(settings, SettingDefinition.Port)}");
    }

    private static Labels ParseLabels(Settings settings)
    {
        string problem = "";
        return (settings[SettingDefinition.Label].Value is not { } given ? Labels.None : Labels.From(given.Split(','), out problem))?.WithHost()
            ?? throw new UsageException($"{Name(settings, SettingDefinition.Label)}: {problem}");
    }

    private static EtcdAddress? ParseEtcd(Settings settings)
    {
        if (settings[SettingDefinition.Etcd].Value is not { } given)
        {
            return null;
        }

        return EtcdAddress.From(given.Split(','), out string problem)
            ?? throw new UsageException($"{Name(settings, SettingDefinition.Etcd)}: {problem}");
    }

    private static ByteSize ParseMemory(Settings settings)
    {
        if (settings[SettingDefinition.Memory].Value is null)
        {
            throw new UsageException(
                $"--memory is missing: say how much to offer, such as --memory 8GiB ({SettingDefinition.Memory.Environment}, "
                + $"or 'memory = 8GiB' in the --config file)");
        }

        ByteSize least = new(new SlabStoreOptions { OfferedBytes = 0 }.SlabBytesMin);
        return Parse<ByteSize?>(
            settings,
            SettingDefinition.Memory,
            text => ByteSize.TryParse(text, out ByteSize size) && size.CompareTo(least) >= 0 ? size : null,
            $"must be a size of at least one slab, {least}, such as 8GiB")!.Value;
    }

    private static int ParsePort(Settings settings, SettingDefinition definition) =>
        ParseInteger(settings, definition, 0, ushort.MaxValue, "(0 takes any)");

    private static int ParseInteger(Settings settings, SettingDefinition definition, int min, int max, string unit) =>
        Parse<int?>(
            settings,
            definition,
            text => TryParseInteger(text, out int value) && value >= min && value <= max ? value : null,
            $"must be a whole number from {min} to {max} {unit}")!.Value;

    private static bool ParseSwitch(Settings settings, SettingDefinition definition) =>
        Parse<bool?>(settings, definition, text => bool.TryParse(text, out bool value) ? value : null, "must be true or false")!.Value;

    private static bool TryParseInteger(string? text, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    private static T Parse<T>(Settings settings, SettingDefinition definition, Func<string?, T?> parse, string rule) =>
        parse(settings[definition].Value) ?? throw new UsageException($"{Name(settings, definition)}: {rule}");

    /// <summary>The option and its value as the user wrote it: <c>--port 99999 (from HECA_SPONSOR_PORT)</c>.</summary>
    private static string Name(Settings settings, SettingDefinition definition)
    {
        Setting setting = settings[definition];
        string origin = setting.Source == "command line" ? "" : $" (from {setting.Source})";
        return $"{definition.CommandLine} {setting.Value}{origin}";
    }
}
