using Hecatonchire.Transport.Rdma;

namespace Hecatonchire.Bench.Suite;

/// <summary>The columns of a report: the systems of `heca bench --system`, and the floor, which is a program of its own.</summary>
internal static class SuiteSystems
{
    public const string Floor = "floor";

    /// <summary>heca over RDMA, beside heca over TCP; only where there is a device.</summary>
    public const string HecaRdma = "heca-rdma";

    public static string Heca { get; } = MemorySystem.Heca.Name();

    public static string Local { get; } = MemorySystem.Local.Name();

    /// <summary>In the order of the columns.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        Local, Floor, Heca, HecaRdma,
        MemorySystem.DiskSwap.Name(), MemorySystem.ZramLzoRle.Name(), MemorySystem.ZramLz4.Name(), MemorySystem.Zswap.Name(),
    ];

    /// <summary>Those that this host can measure.</summary>
    public static IReadOnlyList<string> OfThisHost => [.. All.Where(system => system != HecaRdma || RdmaHost.Missing() is null)];

    /// <summary>The pager, over whichever transport.</summary>
    public static bool IsHeca(string system) => system == Heca || system == HecaRdma;

    /// <summary>Swap to a file.</summary>
    public static bool HasFile(string system) => system == MemorySystem.DiskSwap.Name() || system == MemorySystem.Zswap.Name();

    /// <summary>The slowest first, as far as one can know beforehand: what one of them does in a time, the others do in less.</summary>
    public static IReadOnlyList<string> SlowestFirst { get; } =
    [
        MemorySystem.DiskSwap.Name(), MemorySystem.Zswap.Name(), MemorySystem.ZramLzoRle.Name(), MemorySystem.ZramLz4.Name(), HecaRdma, Heca, Local,
    ];
}
