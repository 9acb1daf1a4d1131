namespace Hecatonchire.Sponsor.Cli;

/// <summary>
/// What --dump-config prints: <c>data-port = 7401   # default</c>, a line for each option, and for each value of one that may be repeated. It can be given as --config.
/// </summary>
internal static class ConfigDump
{
    public static void Write(Settings settings, TextWriter output)
    {
        foreach (SettingDefinition definition in SettingDefinition.All)
        {
            Setting setting = settings[definition];
            string[] values = setting.Value is not { } given ? [] : definition.IsList ? given.Split(',') : [given];
            foreach (string line in values.Select(value => $"{definition.Name} = {value}").DefaultIfEmpty($"#{definition.Name} is not set"))
            {
                output.WriteLine($"{line,-48} # {setting.Source}");
            }
        }
    }
}
