namespace Hecatonchire.Sponsor.Serving;

/// <summary>How the data plane serves.</summary>
internal sealed record DataServerOptions
{
    /// <summary>Open connections at most; one more is answered "busy". Each costs about 50 KiB while open.</summary>
    public int ConnectionsMax { get; init; } = 256;

    /// <summary>Of these so many of one demander, or of all with one name in the trust file; one more is answered "busy". A program has two.</summary>
    public int ConnectionsPerShareMax { get; init; } = 128;

    /// <summary>True: each name or demander has its share of the serving thread. What that costs where several want all of it is not measured yet, so it is for who has given shares.</summary>
    public bool IsShared { get; init; } = true;

    /// <summary>A connection that has not said HELLO by then is closed.</summary>
    public TimeSpan HelloDeadline { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long the serving thread looks for the next request at most before it sleeps. A sleeping thread costs the next request 20
    /// to 30 us; 0 never looks and saves the CPU. How long it really looks follows the demander: see <see cref="ServingConnection.SpinTicks"/>.
    /// </summary>
    public int SpinMicroseconds { get; init; } = 1_000;

    /// <summary>Throws where an option is out of its range.</summary>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ConnectionsMax, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ConnectionsMax, 4096);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(HelloDeadline, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegative(SpinMicroseconds);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(SpinMicroseconds, 1_000_000);
    }
}
