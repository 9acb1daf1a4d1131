using System.CommandLine;
using System.CommandLine.Parsing;
using Hecatonchire.Control.Keys;

namespace Hecatonchire.Cli;

/// <summary>The option <c>--key FILE</c>: the key that is shown to sponsors.</summary>
internal sealed class OwnKeyOption
{
    private readonly Option<string?> _key = new("--key")
    {
        HelpName = "FILE",
        Description = $"This demander's own secret key, for sponsors that serve only keys they trust [default: {DemanderKey.DefaultPath}, if it is there]",
    };

    public Option Option => _key;

    /// <summary>Null where no key is given and there is none in its place. Throws <see cref="CommandException"/> with one line where there is one that cannot be used.</summary>
    public DemanderKey? Resolve(ParseResult parsed)
    {
        string? given = parsed.GetValue(_key);
        if ((given is null ? DemanderKey.Own : new DemanderKey(given)) is not { } key)
        {
            return null;
        }

        try
        {
            _ = key.Load();
            return key;
        }
        catch (IOException e)
        {
            throw new CommandException($"--key: {e.Message}", ExitStatus.Failed);
        }
    }
}
