using System.Runtime.InteropServices;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Transport.Rdma;

/// <summary>HELLO over RDMA: the private data of the connection request, all that fits there. Magic, version and kind as over TCP.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal unsafe struct RdmaHello
{
    /// <summary>The room that rdma_cm leaves in a request.</summary>
    public const int Bytes = 56;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public ushort Version;
    [FieldOffset(6)] public ushort Kind;
    [FieldOffset(8)] public fixed byte Id[Frames.IdBytes];
    [FieldOffset(24)] public fixed byte Token[Frames.TokenBytes];
}

/// <summary>WELCOME over RDMA: the private data of the acceptance, or of the rejection with its status.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal unsafe struct RdmaWelcome
{
    public const int Bytes = 40;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public ushort Version;
    [FieldOffset(6)] public ushort Kind;
    [FieldOffset(8)] public uint Status;
    [FieldOffset(12)] public uint PagesMax;
    [FieldOffset(16)] public fixed byte Id[Frames.IdBytes];

    /// <summary>The protection domain of this demander on the sponsor's device: slabs' keys are asked for it.</summary>
    [FieldOffset(32)] public uint Domain;
    [FieldOffset(36)] public uint Reserved;
}
