using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hecatonchire.Transport.Tcp;

/// <summary>
/// The fixed frames of the TCP data plane, see docs/protocol.md. Little-endian in memory as on the wire: the
/// platforms we build for are little-endian.
/// </summary>
internal static class Frames
{
    public const uint OpenMagic = 0x31434548;
    public const uint RequestMagic = 0x51434548;
    public const uint ResponseMagic = 0x52434548;
    public const ushort Version = 1;
    public const ushort KindHello = 1;
    public const ushort KindWelcome = 2;
    public const byte OpRead = 1;
    public const byte OpWrite = 2;
    public const int IdBytes = 16;
    public const int TokenBytes = 32;

    /// <summary>The protocol's bound of one request: 1 MiB, so that no single answer holds a demand fetch up for long.</summary>
    public const int PagesPerRequestMax = 256;
}

/// <summary>Why a sponsor refused a HELLO or a request; 0 when it did not.</summary>
internal enum WireStatus : byte
{
    Ok = 0,
    Malformed = 1,
    Version = 2,
    Token = 3,
    NoSuchSlab = 4,
    OutOfRange = 5,
    Stopping = 6,
    Busy = 7,
}

internal static class WireStatuses
{
    /// <summary>What a refused HELLO means; the status is one of ours, or what somebody sent in place of one.</summary>
    public static (DataConnectionFailure Failure, string Why) Explain(uint status) => (WireStatus)Math.Min(status, byte.MaxValue) switch
    {
        WireStatus.Version => (
            DataConnectionFailure.Version, $"the sponsor does not speak version {Frames.Version} of the protocol"),
        WireStatus.Token => (DataConnectionFailure.Token, "the sponsor refused the token (unknown, used or expired)"),
        WireStatus.Stopping => (DataConnectionFailure.Busy, "the sponsor is stopping"),
        WireStatus.Busy => (DataConnectionFailure.Busy, "the sponsor has as many connections as it takes"),
        _ => (DataConnectionFailure.Protocol, $"the sponsor refused the HELLO with status {status}"),
    };
}

/// <summary>The header of a request and of its response: the response repeats all but magic and status.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct FrameHeader
{
    public const int Bytes = 32;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public byte Op;
    [FieldOffset(5)] public WireStatus Status;
    [FieldOffset(6)] public ushort Pages;
    [FieldOffset(8)] public ulong Slab;
    [FieldOffset(16)] public uint Slot;
    [FieldOffset(20)] public uint Reserved;
    [FieldOffset(24)] public ulong Id;

    /// <summary>Bytes of data behind this header: the payload of a READ's response or of a WRITE's request.</summary>
    public readonly nuint PayloadBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (nuint)Pages << Units.PageSize.Shift;
    }
}

/// <summary>HELLO and WELCOME.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal unsafe struct OpenFrame
{
    public const int Bytes = 64;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public ushort Version;
    [FieldOffset(6)] public ushort Kind;
    [FieldOffset(8)] public uint Status;
    [FieldOffset(12)] public uint PagesMax;
    [FieldOffset(16)] public fixed byte Id[Frames.IdBytes];
    [FieldOffset(32)] public fixed byte Token[Frames.TokenBytes];
}
