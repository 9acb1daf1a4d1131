using System.Buffers.Text;
using Hecatonchire.Units;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Capture;

/// <summary>What /proc tells of a process's memory. Throws <see cref="IOException"/> once the process is gone.</summary>
internal sealed class ProcessMemory(int process) : IDisposable
{
    private readonly SafeFileHandle _statm = File.OpenHandle($"/proc/{process}/statm");
    private readonly SafeFileHandle _maps = File.OpenHandle($"/proc/{process}/maps");
    private readonly byte[] _line = new byte[256];
    private byte[] _text = new byte[64 << 10];

    /// <summary>Fields 1 and, less the pages of files and shared memory (field 3), 2 of statm.</summary>
    public (long Mapped, long Anonymous) ReadPages()
    {
        ReadOnlySpan<byte> text = _line.AsSpan(0, RandomAccess.Read(_statm, _line, 0));
        Span<long> fields = stackalloc long[3];
        for (int i = 0; i < fields.Length; i++)
        {
            if (!Utf8Parser.TryParse(text, out fields[i], out int digits))
            {
                throw new IOException("/proc/PID/statm is empty: the process has ended");
            }

            text = text[Math.Min(digits + 1, text.Length)..];
        }

        int perSystemPage = Environment.SystemPageSize / PageSize.Bytes;
        return (fields[0] * perSystemPage, Math.Max(0, fields[1] - fields[2]) * perSystemPage);
    }

    public void ReadMappings(List<Mapping> mappings)
    {
        int length = 0;
        while (true)
        {
            if (length == _text.Length)
            {
                Array.Resize(ref _text, _text.Length * 2);
            }

            int read = RandomAccess.Read(_maps, _text.AsSpan(length), length);
            if (read == 0)
            {
                break;
            }

            length += read;
        }

        Mapping.ParseAll(_text.AsSpan(0, length), mappings);
    }

    public void Dispose()
    {
        _statm.Dispose();
        _maps.Dispose();
    }
}
