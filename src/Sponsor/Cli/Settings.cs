using System.Text.Json;

namespace Hecatonchire.Sponsor.Cli;

/// <summary>A value as it was written, and where: for messages and --dump-config.</summary>
internal readonly record struct Setting(string? Value, string Source);

/// <summary>Lays the sources over each other: the command line over the environment over the file over the defaults.</summary>
internal sealed class Settings
{
    public const string ConfigEnvironment = SettingDefinition.EnvironmentPrefix + "CONFIG";

    /// <summary>A configuration has ten short values; what is larger is another file.</summary>
    private const int FileBytesMax = 1 << 20;

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
        Dictionary<string, string> file = configPath is null ? [] : ReadFile(configPath);
        foreach (SettingDefinition definition in SettingDefinition.All)
        {
            settings._settings[definition] =
                commandLine(definition) is { } given ? new Setting(given, "command line")
                : environment(definition.Environment) is { Length: > 0 } variable ? new Setting(variable, definition.Environment)
                : file.TryGetValue(definition.FileKey, out string? value) ? new Setting(value, configPath!)
                : new Setting(definition.Default, "default");
        }

        return settings;
    }

    private static Dictionary<string, string> ReadFile(string path)
    {
        Dictionary<string, string> values = [];
        try
        {
            if (new FileInfo(path).Length > FileBytesMax)
            {
                throw new UsageException($"--config {path}: larger than {FileBytesMax} bytes, so it is no configuration file");
            }

            using JsonDocument document = JsonDocument.Parse(
                File.ReadAllBytes(path),
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new UsageException($"--config {path}: expected a JSON object with options as its members");
            }

            foreach (JsonProperty member in document.RootElement.EnumerateObject())
            {
                if (SettingDefinition.All.All(definition => definition.FileKey != member.Name))
                {
                    string known = string.Join(", ", SettingDefinition.All.Select(definition => definition.FileKey));
                    throw new UsageException($"--config {path}: '{member.Name}' is no option; there are {known}");
                }

                values[member.Name] = member.Value.ValueKind switch
                {
                    JsonValueKind.String => member.Value.GetString()!,
                    JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => member.Value.GetRawText(),
                    _ => throw new UsageException($"--config {path}: '{member.Name}' must be a string, a number, true or false"),
                };
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--config {path}: cannot be read: {failure.Message}");
        }
        catch (JsonException failure)
        {
            throw new UsageException($"--config {path}: is not JSON: {failure.Message}");
        }

        return values;
    }
}
