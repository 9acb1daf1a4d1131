namespace Hecatonchire.Sponsor.Slabs;

/// <summary>What a sponsor lends, and when it takes it back.</summary>
internal sealed record SlabStoreOptions
{
    /// <summary>The smallest and the largest slab; both powers of two. Constants of the product, smaller only in tests.</summary>
    public long SlabBytesMin { get; init; } = 64L << 20;

    public long SlabBytesMax { get; init; } = 1L << 30;

    /// <summary>The sum of all slabs never exceeds this.</summary>
    public required long OfferedBytes { get; init; }

    /// <summary>A demander that was silent for longer and has no data connection is gone.</summary>
    public TimeSpan GoneAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From the token's making to the data connection's HELLO: one connect over a network, not a person.</summary>
    public TimeSpan TokenValid { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Tokens a demander can have open: one per connection it is making. The oldest gives way.</summary>
    public int TokensPerDemanderMax { get; init; } = 8;

    /// <summary>Demanders known at a time. Bounds what hellos can make the sponsor remember; each costs about 500 bytes.</summary>
    public int DemandersMax { get; init; } = 1024;

    /// <summary>Of these so many with one name in the trust file: nobody takes the places of all others.</summary>
    public int DemandersPerNameMax { get; init; } = 256;
}
