using System.CommandLine;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli;

/// <summary>
/// Which sponsor: <c>--sponsor HOST:PORT</c> with the key that proves it, or <c>--embedded</c>, one of our own on loopback.
/// </summary>
internal sealed class SponsorEndpointOption
{
    private readonly Option<string?> _sponsor = new("--sponsor") { HelpName = "HOST:PORT", Description = "The sponsor's control channel" };

    private readonly Option<string?> _key = new("--sponsor-key")
    {
        HelpName = "KEY|FILE",
        Description = "The sponsor's public key, or the file that holds it "
            + $"[default: {SponsorAddress.KeyEnvironment}, /var/lib/heca/sponsor.public, ~/.local/state/heca/sponsor.public]",
    };

    private readonly Option<bool> _embedded = new("--embedded") { Description = "Start a sponsor on this host that ends with the run" };

    public IEnumerable<Option> Options => [_sponsor, _key, _embedded];

    public void AddTo(Command command)
    {
        foreach (Option option in Options)
        {
            command.Add(option);
        }
    }

    /// <summary>The sponsor named, or null for an embedded one. Throws <see cref="CommandException"/>.</summary>
    public SponsorEndpoint? Resolve(ParseResult parsed)
    {
        string? address = parsed.GetValue(_sponsor), key = parsed.GetValue(_key);
        if (parsed.GetValue(_embedded))
        {
            return address is null && key is null
                ? null
                : throw new CommandException("--embedded starts a sponsor of its own: give either it or --sponsor", ExitStatus.Usage);
        }

        return address is not null
            ? SponsorAddress.Resolve(address, key)
            : throw new CommandException("no sponsor: give --sponsor HOST:PORT, or --embedded to start one on this host", ExitStatus.Usage);
    }
}
