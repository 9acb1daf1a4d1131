namespace Hecatonchire.Bench;

/// <summary>What keeps a benchmark's data: heca, or what people use without it. Their names on the command line and in the report.</summary>
internal enum MemorySystem
{
    /// <summary>The pager with a sponsor.</summary>
    Heca,

    /// <summary>Ordinary memory without any limit: what the others are slower than.</summary>
    Local,

    /// <summary>Kernel swap on a file.</summary>
    DiskSwap,

    /// <summary>Kernel swap on compressed memory of this host, with the kernel's default compressor.</summary>
    ZramLzoRle,

    ZramLz4,

    /// <summary>A compressed cache in memory before kernel swap on a file.</summary>
    Zswap,
}

internal static class MemorySystemNames
{
    public static string Name(this MemorySystem system) => system switch
    {
        MemorySystem.Heca => "heca",
        MemorySystem.Local => "local",
        MemorySystem.DiskSwap => "disk-swap",
        MemorySystem.ZramLzoRle => "zram-lzo-rle",
        MemorySystem.ZramLz4 => "zram-lz4",
        _ => "zswap",
    };

    /// <summary>The kernel swaps; neither heca nor memory without a limit.</summary>
    public static bool IsSwap(this MemorySystem system) => system is not (MemorySystem.Heca or MemorySystem.Local);

    /// <summary>All names, as a help text has them: <c>heca|local|...</c>.</summary>
    public static string All => string.Join('|', Enum.GetValues<MemorySystem>().Select(Name));

    /// <summary>False when no system has that name.</summary>
    public static bool TryParse(string? name, out MemorySystem system)
    {
        foreach (MemorySystem candidate in Enum.GetValues<MemorySystem>())
        {
            if (candidate.Name() == name)
            {
                system = candidate;
                return true;
            }
        }

        system = default;
        return false;
    }
}
