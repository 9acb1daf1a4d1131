namespace Hecatonchire.Sponsor.Cli;

/// <summary>What --dump-config prints: <c>data_port = 7401   # default</c>, one line for each option.</summary>
internal static class ConfigDump
{
    public static void Write(Settings settings, TextWriter output)
    {
        foreach (SettingDefinition definition in SettingDefinition.All)
        {
            Setting setting = settings[definition];
            output.WriteLine($"{definition.FileKey + " = " + (setting.Value ?? "(none)"),-48} # {setting.Source}");
        }
    }
}
