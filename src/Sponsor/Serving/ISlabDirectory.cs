namespace Hecatonchire.Sponsor.Serving;

/// <summary>A slab's memory as the data plane serves it. Valid until <see cref="DataServer"/> has been told to retire it.</summary>
internal readonly unsafe struct SlabView(byte* memory, uint slots)
{
    public readonly byte* Memory = memory;
    public readonly uint Slots = slots;
}

/// <summary>
/// What the data plane needs to know of the control plane. Called from the serving thread: no blocking, no allocation
/// in <see cref="TryFind"/>.
/// </summary>
internal interface ISlabDirectory
{
    /// <summary>True when the token is valid for this demander; it is used up by the call.</summary>
    bool TryRedeem(ReadOnlySpan<byte> token, ReadOnlySpan<byte> demander, out DemanderHandle handle);

    /// <summary>Finds a slab that the demander owns; false for any other.</summary>
    bool TryFind(DemanderHandle demander, ulong slab, out SlabView view);

    /// <summary>Whose share of the serving a demander's requests are: all demanders of a name have one.</summary>
    ServingShare ShareOf(DemanderHandle demander);

    /// <summary>A data connection of the demander was opened (+1) or closed (-1): it is not gone while one is open.</summary>
    void CountConnection(DemanderHandle demander, int change);
}

/// <summary>A demander as the sponsor numbers it internally.</summary>
internal readonly record struct DemanderHandle(int Index);
