using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hecatonchire.Handover;

/// <summary>native/app/handover.h; a layout test and its static assertions keep the two the same.</summary>
internal static class HandoverAbi
{
    public const uint Magic = 0x41434548;
    public const ushort Version = 4;
    public const int RingEntries = 512;
    public const int StagingPages = 4096;
    public const int StacksMax = 512;

    public const ushort Hello = 1, Allocate = 2, Free = 3, Resize = 4, Advise = 5, Statistics = 6, Enable = 7, Resumed = 8;

    public const ulong CanMove = 1, CanPoison = 2, CanWriteProtect = 4, CanChange = 8, CanCapture = 16, IsForked = 32, IsResumed = 64, CanResize = 128;

    public const uint Take = 1, Recycle = 2, Drop = 3, ResizeSegment = 4;
}

[InlineArray(16)]
internal struct HandoverPayload
{
    private ulong _first;
}

[StructLayout(LayoutKind.Sequential)]
internal struct HandoverMessage
{
    public uint Magic;
    public ushort Version;
    public ushort Kind;
    public uint Sequence;
    public int Status;
    public ulong Address;
    public ulong Bytes;
    public ulong Value0;
    public ulong Value1;
    public ulong Value2;
    public ulong Value3;
    public HandoverPayload Payload;

    /// <summary>Of a HELLO: a child that was forked with captured memory. Its first pager has its userfaultfd; to others it gives it, as any program.</summary>
    public readonly bool IsForked => (Value2 & HandoverAbi.IsForked) != 0;

    /// <summary>Of a HELLO: another pager has had the program, and has died.</summary>
    public readonly bool IsResumed => (Value2 & HandoverAbi.IsResumed) != 0;
}

[StructLayout(LayoutKind.Sequential)]
internal struct EvictorCommand
{
    public uint Operation;
    public uint Pages;
    public ulong Source;
    public ulong Target;
    public ulong Cookie;
    public uint Generation;
    public uint Reserved;
}

/// <summary>struct heca_ring up to its entries: each index on a cache line of its own.</summary>
[StructLayout(LayoutKind.Explicit, Size = CommandsOffset)]
internal struct RingHeader
{
    public const int CommandsOffset = 512;
    public const int CompletionsOffset = CommandsOffset + (40 * HandoverAbi.RingEntries);
    public const int HashKeyOffset = CompletionsOffset + (16 * HandoverAbi.RingEntries);
    public const int StagedHashesOffset = HashKeyOffset + (8 * WriteBack.PageHash.KeyWords);
    public const int StacksOffset = StagedHashesOffset + (8 * HandoverAbi.StagingPages);
    public const int Size = StacksOffset + (16 * HandoverAbi.StacksMax);

    [FieldOffset(0)]
    public uint CommandsHead;

    [FieldOffset(64)]
    public uint CommandsTail;

    [FieldOffset(128)]
    public uint EvictorSleeping;

    [FieldOffset(132)]
    public int EvictorThread;

    [FieldOffset(192)]
    public uint CompletionsHead;

    [FieldOffset(256)]
    public uint CompletionsTail;

    [FieldOffset(320)]
    public uint PagerSleeping;

    [FieldOffset(384)]
    public uint PagerReading;

    [FieldOffset(388)]
    public uint Generation;

    [FieldOffset(392)]
    public uint HasCaptured;

    [FieldOffset(396)]
    public uint ForkAcknowledged;

    [FieldOffset(448)]
    public uint EvictorMoving;

    [FieldOffset(452)]
    public uint ForkAsked;
}
