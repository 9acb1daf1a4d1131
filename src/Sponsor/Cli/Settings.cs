using Hecatonchire.Configuration;

namespace Hecatonchire.Sponsor.Cli;

/// <summary>A value as it was written, and where: for messages and --dump-config.</summary>
internal readonly record struct Setting(string? Value, string Source);

/// <summary>Lays the sources over each other: the command line over the environment over the file over the defaults.</summary>
internal sealed class Settings
{
    public const string ConfigEnvironment = SettingDefinition.EnvironmentPrefix + "CONFIG";

    private readonly Dictionary<SettingDefinition, Setting> _settings = [];

    private Settings()
    {
    }

    public Setting this[SettingDefinition definition] => _settings[definition];

    /// <summary>
    /// <paramref name="commandLine"/> returns null for what was not given. Throws <see cref="UsageException"/> for a file
    /// that cannot be read or says what no option means.
    /// </summary>
    public static Settings Resolve(
        Func<SettingDefinition, string?> commandLine, Func<string, string?> environment, string? configPath)
    {
        Settings settings = new();
        configPath ??= environment(ConfigEnvironment) is { Length: > 0 } path ? path : null;
        Dictionary<string, Setting> file = configPath is null ? [] : ReadFile(configPath);
        foreach (SettingDefinition definition in SettingDefinition.All)
        {
            settings._settings[definition] =
                commandLine(definition) is { } given ? new Setting(given, "command line")
                : environment(definition.Environment) is { Length: > 0 } variable ? new Setting(variable, definition.Environment)
                : file.TryGetValue(definition.Name, out Setting line) ? line
                : new Setting(definition.Default, "default");
        }

        return settings;
    }

    /// <summary>With where each is from: <c>sponsor.conf:12</c>.</summary>
    private static Dictionary<string, Setting> ReadFile(string path)
    {
        try
        {
            return ConfigurationFile.Read(path, [.. SettingDefinition.All.Select(definition => new ConfigurationName(definition.Name, definition.IsList))])
                .GroupBy(line => line.Name)
                .ToDictionary(
                    lines => lines.Key,
                    lines => new Setting(string.Join(',', lines.Select(line => line.Value)), $"{path}:{string.Join(',', lines.Select(line => line.Line))}"));
        }
        catch (ConfigurationException failure)
        {
            throw new UsageException(failure.Message);
        }
    }
}
