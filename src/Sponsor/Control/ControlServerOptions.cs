using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Sponsor.Control;

/// <summary>Where the control channel listens and as whom.</summary>
internal sealed record ControlServerOptions
{
    /// <summary>An IP address of this host.</summary>
    public required string Address { get; init; }

    /// <summary>0 takes any free port.</summary>
    public required int Port { get; init; }

    public required CurveKeyPair Keys { get; init; }

    /// <summary>Who has it may set what is offered; <see cref="ControlProtocol.AdminKeyBytes"/> bytes.</summary>
    public required byte[] AdminKey { get; init; }

    /// <summary>Stable over restarts.</summary>
    public required Guid SponsorId { get; init; }

    /// <summary>New at each start: what was lent belongs to it.</summary>
    public Guid Instance { get; } = Guid.NewGuid();

    /// <summary>Where it is, as its owner says.</summary>
    public Labels Labels { get; init; } = Labels.None;

    /// <summary>The cluster that it belongs to, as far as it is known by now; zeros: none.</summary>
    public Func<Guid> Cluster { get; init; } = static () => Guid.Empty;

    /// <summary>As the slab store's; connections that are silent for this long are forgotten and have to say hello again.</summary>
    public required TimeSpan GoneAfter { get; init; }

    /// <summary>Connections remembered at a time; each costs about 200 bytes.</summary>
    public int SessionsMax { get; init; } = 4096;
}
