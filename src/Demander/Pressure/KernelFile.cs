using System.Buffers.Text;
using Hecatonchire.Interop;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Pressure;

/// <summary>
/// A small text file of /proc, /sys or a cgroup that is kept open and read again and again without allocating. A read
/// takes one pread from offset 0, for which the kernel renders the file anew (1 to 2 us for a single number).
/// </summary>
internal sealed unsafe class KernelFile : IDisposable
{
    /// <summary>memory.stat is about 2 KiB, and grows by a line or two with a kernel release.</summary>
    public const int TextBytesMax = 8192;

    private readonly SafeFileHandle _handle;

    private KernelFile(string path, int descriptor)
    {
        Path = path;
        Descriptor = descriptor;
        _handle = new SafeFileHandle(descriptor, ownsHandle: true);
    }

    public string Path { get; }

    /// <summary>Valid until <see cref="Dispose"/>; for poll and for registering with cgroup.event_control.</summary>
    public int Descriptor { get; }

    /// <summary>Null when the file is not there or may not be opened so.</summary>
    public static KernelFile? TryOpen(string path, int flags = Libc.O_RDONLY)
    {
        int descriptor = Libc.Open(path, flags | Libc.O_CLOEXEC, 0);
        return descriptor < 0 ? null : new KernelFile(path, descriptor);
    }

    /// <summary>Reads the text into <paramref name="buffer"/>; the number of bytes, or -1 (a removed cgroup: ENODEV).</summary>
    public int Read(Span<byte> buffer)
    {
        // The buffer is pinned for the call only, and pread writes at most its length.
        fixed (byte* start = buffer)
        {
            return (int)Libc.ReadAt(Descriptor, start, (nuint)buffer.Length, 0);
        }
    }

    /// <summary>Reads a file that holds one number; <c>max</c> and what v1 prints for no limit give long.MaxValue. -1 on failure.</summary>
    public long ReadNumber()
    {
        Span<byte> buffer = stackalloc byte[32];
        int length = Read(buffer);
        return length <= 0 ? -1 : ParseNumber(buffer[..length]);
    }

    /// <summary>Writes a registration (PSI trigger, event_control line); false when the kernel refuses it.</summary>
    public bool TryWrite(ReadOnlySpan<byte> text)
    {
        fixed (byte* start = text)
        {
            return Libc.Write(Descriptor, start, (nuint)text.Length) == text.Length;
        }
    }

    /// <summary>The decimal number that <paramref name="text"/> starts with; long.MaxValue for <c>max</c> and for 2^62 and more; -1 for no number.</summary>
    public static long ParseNumber(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("max"u8))
        {
            return long.MaxValue;
        }

        if (!Utf8Parser.TryParse(text, out ulong value, out _))
        {
            return -1;
        }

        return value >= 1UL << 62 ? long.MaxValue : (long)value;
    }

    /// <summary>The value of the line <c>key value</c> (or <c>key: value kB</c>, in its unit) of a table; -1 when there is none.</summary>
    public static long FindValue(ReadOnlySpan<byte> table, ReadOnlySpan<byte> key)
    {
        while (!table.IsEmpty)
        {
            int end = table.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? table : table[..end];
            if (line.Length > key.Length && line.StartsWith(key) && line[key.Length] is (byte)' ' or (byte)':')
            {
                return ParseNumber(line[(key.Length + 1)..].TrimStart((byte)' '));
            }

            table = end < 0 ? default : table[(end + 1)..];
        }

        return -1;
    }

    public void Dispose() => _handle.Dispose();
}
