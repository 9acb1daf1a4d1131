using Hecatonchire.Control.Keys;

namespace Hecatonchire.Control;

/// <summary>The times of a <see cref="SponsorClient"/>. The defaults are right outside of tests.</summary>
internal sealed record SponsorClientOptions
{
    /// <summary>The key pair to show, where sponsors ask for one; null: one is made for the connection.</summary>
    public DemanderKey? Key { get; init; }

    /// <summary>How long a request waits for its answer; also what <see cref="SponsorClient.Connect"/> waits for the first.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A sponsor that has answered nothing for this long is not alive: several heartbeats, well below gone_after.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>A one-time token, where to use it, and for how long it is valid.</summary>
internal readonly record struct DataToken(byte[] Token, int Port, TimeSpan Valid);
