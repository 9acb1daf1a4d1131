using Hecatonchire.Capture;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Pager;

/// <summary>What a pager is started with. Set once; see the option of the same name on the command line.</summary>
internal sealed record PagerOptions
{
    /// <summary>The bound of resident sponsored pages.</summary>
    public required LocalBudget Local { get; init; }

    public PrefetchKind Prefetch { get; init; } = PrefetchKind.Trend;

    public TransportPreference Transport { get; init; }

    public EvictionKind Eviction { get; init; } = EvictionKinds.Default;

    public DirtyTracking DirtyTracking { get; init; } = DirtyTracking.Protect;

    /// <summary>True: changed pages are written back while the program does not fault, and stay.</summary>
    public bool Clean { get; init; } = true;

    /// <summary>Of a program that comes to have its memory captured: which of it.</summary>
    public CaptureRules Capture { get; init; } = new();

    /// <summary>From whom, and how it is spread.</summary>
    public required Borrowing Borrowing { get; init; }

    /// <summary>Path of the Unix socket that the program finds in HECA_SOCKET.</summary>
    public required string SocketPath { get; init; }

    /// <summary>True: any number of programs at once, each with <see cref="Local"/> of its own. False: one, and what it forks.</summary>
    public bool ManyPrograms { get; init; }

    /// <summary>The user whose programs are served beside root's; null: any that reaches the socket.</summary>
    public uint? Owner { get; init; }

    /// <summary>The `heca run` that starts the programs; null: it has gone.</summary>
    public int? Starter { get; init; }

    /// <summary>Where only this pager writes, for the next one, if it should die; null: there will be none.</summary>
    public string? StateFolder { get; init; }

    /// <summary>True: sponsors that cannot be had are left out, while there is one: a program that another pager has had may have all it needs on the others.</summary>
    public bool MayLackSponsors { get; init; }

    /// <summary>After this time without its pager a stalled program is stopped by its evictor thread. Zero: never.</summary>
    public TimeSpan StopProgramAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>True: the pager follows the faulting thread's core and spins while requests are in flight.</summary>
    public bool Spin { get; init; } = true;
}

/// <summary>A sponsor as a user names it, with the CURVE public key (Z85, 40 characters) that proves it.</summary>
internal sealed record SponsorEndpoint(string Host, int Port, string PublicKey);
