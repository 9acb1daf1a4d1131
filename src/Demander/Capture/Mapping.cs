using System.Buffers.Text;
using System.Text;
using Hecatonchire.Install;

namespace Hecatonchire.Capture;

/// <summary>One mapping of a process, as a line of /proc/PID/maps tells it (proc_pid_maps(5)).</summary>
internal readonly record struct Mapping(AddressRange Range, bool IsReadable, bool IsWritable, bool IsExecutable, bool IsShared, ulong Inode, string Name)
{
    /// <summary>Reads all lines; what is not one is passed over.</summary>
    public static void ParseAll(ReadOnlySpan<byte> maps, List<Mapping> found)
    {
        found.Clear();
        while (!maps.IsEmpty)
        {
            int end = maps.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? maps : maps[..end];
            maps = end < 0 ? default : maps[(end + 1)..];
            if (TryParse(line, out Mapping mapping))
            {
                found.Add(mapping);
            }
        }
    }

    /// <summary><c>7f0000000000-7f0000001000 rw-p 00000000 00:00 0    [heap]</c>: the name may be missing, and may have blanks.</summary>
    private static bool TryParse(ReadOnlySpan<byte> line, out Mapping mapping)
    {
        mapping = default;
        if (!TryTakeHex(ref line, (byte)'-', out ulong start) || !TryTakeHex(ref line, (byte)' ', out ulong end) || line.Length < 5)
        {
            return false;
        }

        ReadOnlySpan<byte> permissions = line[..4];
        line = line[5..];
        int blank = line.IndexOf((byte)' ');
        int second = blank < 0 ? -1 : line[(blank + 1)..].IndexOf((byte)' ');
        if (second < 0 || !Utf8Parser.TryParse(line[(blank + second + 2)..], out ulong inode, out int digits))
        {
            return false;
        }

        ReadOnlySpan<byte> name = line[(blank + second + 2 + digits)..].TrimStart((byte)' ');
        mapping = new Mapping(
            new AddressRange(start, end), permissions[0] == 'r', permissions[1] == 'w', permissions[2] == 'x', permissions[3] == 's', inode,
            name.IsEmpty ? "" : name.SequenceEqual("[heap]"u8) ? "[heap]" : Encoding.UTF8.GetString(name));
        return start < end;
    }

    private static bool TryTakeHex(ref ReadOnlySpan<byte> line, byte terminator, out ulong value)
    {
        if (!Utf8Parser.TryParse(line, out value, out int digits, 'x') || digits >= line.Length || line[digits] != terminator)
        {
            return false;
        }

        line = line[(digits + 1)..];
        return true;
    }
}
