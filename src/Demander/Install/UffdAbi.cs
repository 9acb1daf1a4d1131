using System.Runtime.InteropServices;

namespace Hecatonchire.Install;

/// <summary>linux/userfaultfd.h, as far as the pager uses it (struct layouts and ioctl numbers of x86-64 and arm64).</summary>
internal static class UffdAbi
{
    public const nuint UFFDIO_REGISTER = 0xC020AA00;
    public const nuint UFFDIO_WAKE = 0x8010AA02;
    public const nuint UFFDIO_COPY = 0xC028AA03;
    public const nuint UFFDIO_ZEROPAGE = 0xC020AA04;
    public const nuint UFFDIO_WRITEPROTECT = 0xC018AA06;
    public const nuint UFFDIO_POISON = 0xC020AA08;

    public const byte UFFD_EVENT_PAGEFAULT = 0x12;
    public const byte UFFD_EVENT_FORK = 0x13;
    public const byte UFFD_EVENT_REMAP = 0x14;
    public const byte UFFD_EVENT_REMOVE = 0x15;
    public const byte UFFD_EVENT_UNMAP = 0x16;
    public const ulong UFFDIO_REGISTER_MODE_MISSING = 1;
    public const ulong UFFD_PAGEFAULT_FLAG_WRITE = 1;
    public const ulong UFFD_PAGEFAULT_FLAG_WP = 2;
}

[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct UffdMessage
{
    [FieldOffset(0)]
    public byte Event;

    [FieldOffset(8)]
    public ulong Flags;

    [FieldOffset(16)]
    public ulong Address;

    [FieldOffset(24)]
    public int Thread;

    /// <summary>Of a change: where the range starts.</summary>
    [FieldOffset(8)]
    public ulong Start;

    /// <summary>Of a change: where the range ends; of a REMAP the new address.</summary>
    [FieldOffset(16)]
    public ulong EndOrTarget;

    /// <summary>Of a REMAP.</summary>
    [FieldOffset(24)]
    public ulong Length;

    /// <summary>Of a FORK: the child's userfaultfd, which is the reader's from now on.</summary>
    [FieldOffset(8)]
    public uint ForkDescriptor;
}

[StructLayout(LayoutKind.Sequential)]
internal struct UffdCopy
{
    public ulong Destination;
    public ulong Source;
    public ulong Length;
    public ulong Mode;
    public long Copied;
}

/// <summary>uffdio_zeropage and uffdio_poison have the same shape.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct UffdRangeMode
{
    public ulong Start;
    public ulong Length;
    public ulong Mode;
    public long Done;
}

[StructLayout(LayoutKind.Sequential)]
internal struct UffdRegister
{
    public ulong Start;
    public ulong Length;
    public ulong Mode;
    public ulong Ioctls;
}

[StructLayout(LayoutKind.Sequential)]
internal struct UffdRange
{
    public ulong Start;
    public ulong Length;
}

[StructLayout(LayoutKind.Sequential)]
internal struct UffdWriteProtect
{
    public ulong Start;
    public ulong Length;
    public ulong Mode;
}
