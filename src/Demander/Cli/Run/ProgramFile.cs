using System.Buffers.Binary;
using System.Text;

namespace Hecatonchire.Cli.Run;

/// <summary>What the file of a program tells of how its memory can become the pager's.</summary>
internal enum ProgramKind
{
    /// <summary>A 64-bit dynamically linked program, or a script for one: a library can be preloaded.</summary>
    Dynamic,

    /// <summary>It links libheca, or is published with it: it asks for sponsored memory itself.</summary>
    UsesHeca,

    /// <summary>No dynamic loader runs for it, so that nothing can be preloaded.</summary>
    Static,

    /// <summary>Of another machine or word size than libheca.</summary>
    Foreign,
}

/// <summary>Looks at a program's file: ELF as elf(5) has it, and the first line of scripts.</summary>
internal static class ProgramFile
{
    private const string Library = "libheca.so";
    private const int HeaderBytes = 64, SegmentBytes = 56, EntryBytes = 16;
    private const int SegmentLoad = 1, SegmentDynamic = 2, SegmentInterpreter = 3;
    private const int TagNeeded = 1, TagStrings = 5;
    private const int InterpretersMax = 4;

    /// <summary>Bytes of one table or string at most: a damaged file is not read whole.</summary>
    private const int TableBytesMax = 1 << 20;

    /// <summary>What cannot be made out counts as <see cref="ProgramKind.Dynamic"/>: the kernel will tell.</summary>
    public static ProgramKind Inspect(string path)
    {
        try
        {
            return Inspect(path, InterpretersMax);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or OverflowException)
        {
            return ProgramKind.Dynamic;
        }
    }

    private static ProgramKind Inspect(string path, int interpretersLeft)
    {
        using FileStream file = File.OpenRead(path);
        byte[] header = Read(file, 0, HeaderBytes);
        if (header is [(byte)'#', (byte)'!', ..] && interpretersLeft > 0)
        {
            return Inspect(InterpreterOf(file), interpretersLeft - 1);
        }

        if (header.Length < HeaderBytes || header is not [0x7F, (byte)'E', (byte)'L', (byte)'F', ..])
        {
            return ProgramKind.Dynamic;
        }

        const int Class64 = 2;
        using FileStream self = File.OpenRead(Environment.ProcessPath!);
        byte[] ours = Read(self, 0, HeaderBytes);
        if (header[4] != Class64 || (ours.Length == HeaderBytes && !header.AsSpan(18, 2).SequenceEqual(ours.AsSpan(18, 2))))
        {
            return ProgramKind.Foreign;
        }

        List<(int Type, long Offset, ulong Address, long Bytes)> segments = Segments(file, header);
        if (!segments.Exists(segment => segment.Type == SegmentInterpreter))
        {
            return ProgramKind.Static;
        }

        bool isPublishedWithIt = File.Exists(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "Hecatonchire.dll"));
        return isPublishedWithIt || Needed(file, segments).Contains(Library) ? ProgramKind.UsesHeca : ProgramKind.Dynamic;
    }

    private static string InterpreterOf(FileStream file)
    {
        byte[] line = Read(file, 2, 256);
        string text = Encoding.UTF8.GetString(line).Split('\n')[0].Trim();
        string[] words = text.Split(' ', '\t');

        // env finds its program as a shell would.
        return words.Length > 1 && Path.GetFileName(words[0]) == "env" && !words[1].StartsWith('-') ? ChildProgram.Find(words[1]) : words[0];
    }

    private static List<(int Type, long Offset, ulong Address, long Bytes)> Segments(FileStream file, byte[] header)
    {
        long at = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56));
        byte[] table = Read(file, at, count * SegmentBytes);
        var segments = new List<(int, long, ulong, long)>();
        for (int i = 0; (i + 1) * SegmentBytes <= table.Length; i++)
        {
            ReadOnlySpan<byte> entry = table.AsSpan(i * SegmentBytes, SegmentBytes);
            segments.Add((BinaryPrimitives.ReadInt32LittleEndian(entry), BinaryPrimitives.ReadInt64LittleEndian(entry[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]), BinaryPrimitives.ReadInt64LittleEndian(entry[32..])));
        }

        return segments;
    }

    /// <summary>The libraries that the program names (DT_NEEDED).</summary>
    private static IEnumerable<string> Needed(FileStream file, List<(int Type, long Offset, ulong Address, long Bytes)> segments)
    {
        (int type, long offset, ulong _, long bytes) = segments.Find(segment => segment.Type == SegmentDynamic);
        if (type != SegmentDynamic)
        {
            return [];
        }

        byte[] table = Read(file, offset, (int)Math.Min(bytes, TableBytesMax));
        var names = new List<long>();
        ulong strings = 0;
        for (int i = 0; (i + 1) * EntryBytes <= table.Length; i++)
        {
            long tag = BinaryPrimitives.ReadInt64LittleEndian(table.AsSpan(i * EntryBytes));
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan((i * EntryBytes) + 8));
            if (tag == TagNeeded)
            {
                names.Add((long)value);
            }

            strings = tag == TagStrings ? value : strings;
        }

        (int load, long loadOffset, ulong loadAddress, long _) = segments.Find(
            segment => segment.Type == SegmentLoad && strings >= segment.Address && strings < segment.Address + (ulong)segment.Bytes);
        return load != SegmentLoad ? [] : names.Select(name => TextAt(file, loadOffset + (long)(strings - loadAddress) + name));
    }

    private static string TextAt(FileStream file, long offset)
    {
        byte[] text = Read(file, offset, 256);
        int end = Array.IndexOf(text, (byte)0);
        return Encoding.UTF8.GetString(text, 0, end < 0 ? text.Length : end);
    }

    private static byte[] Read(FileStream file, long offset, int length)
    {
        byte[] bytes = new byte[length];
        int read = 0, more;
        while (read < length && (more = RandomAccess.Read(file.SafeFileHandle, bytes.AsSpan(read), offset + read)) > 0)
        {
            read += more;
        }

        return bytes[..read];
    }
}
