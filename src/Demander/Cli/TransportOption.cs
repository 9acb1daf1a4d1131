using System.CommandLine;
using Hecatonchire.Transport;

namespace Hecatonchire.Cli;

/// <summary><c>--transport auto|rdma|tcp</c>.</summary>
internal sealed class TransportOption() : Option<string>("--transport")
{
    private const string Text = "How pages travel; auto: over RDMA where both ends have a device, else over TCP";

    public static TransportOption Create() => new()
    {
        HelpName = "auto|rdma|tcp",
        Description = Text,
        DefaultValueFactory = _ => "auto",
    };

    /// <summary>Throws <see cref="CommandException"/>.</summary>
    public TransportPreference Read(ParseResult parsed) =>
        TransportPreferences.TryParse(parsed.GetValue(this), out TransportPreference preference)
            ? preference
            : throw new CommandException($"--transport '{parsed.GetValue(this)}': write {TransportPreferences.All}", ExitStatus.Usage);
}
