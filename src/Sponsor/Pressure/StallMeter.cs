using System.Buffers.Text;
using System.Globalization;

namespace Hecatonchire.Sponsor.Pressure;

/// <summary>
/// For what share of the time some task waited for memory that this sponsor could give, by the kernel's pressure stall information (Documentation/accounting/psi.rst): in the sponsor's
/// own memory cgroup (v2), and on the host where that has little left. A task that waits for the limit of another cgroup is nothing that giving back would help. One thread.
/// </summary>
internal sealed class StallMeter
{
    /// <summary>Little: less than a tenth of the host's memory is available.</summary>
    private const int AvailableParts = 10;

    private readonly TimeProvider _time;
    private readonly string _memInfo;
    private readonly Source[] _sources;
    private long _lookedAt;

    private sealed class Source(string path, bool isHost)
    {
        public readonly string Path = path;
        public readonly bool IsHost = isHost;
        public long Total = ReadTotal(path);
    }

    /// <param name="host">The host's /proc/pressure/memory.</param>
    /// <param name="memInfo">Its /proc/meminfo.</param>
    /// <param name="group">memory.pressure of the sponsor's own cgroup; null: it has none.</param>
    /// <param name="time">The clock.</param>
    public StallMeter(string host, string memInfo, string? group, TimeProvider time)
    {
        (_time, _memInfo) = (time, memInfo);
        Source?[] all = [new Source(host, isHost: true), group is null ? null : new Source(group, isHost: false)];
        _sources = [.. all.OfType<Source>().Where(source => source.Total >= 0)];
        _lookedAt = time.GetTimestamp();
    }

    public static StallMeter OfThisHost(TimeProvider time) => new("/proc/pressure/memory", "/proc/meminfo", OwnGroup("/proc/self/cgroup"), time);

    /// <summary>False where the kernel tells nothing.</summary>
    public bool IsAble => _sources.Length > 0;

    /// <summary>The share since the last look, 0 to 1.</summary>
    public double Look()
    {
        long now = _time.GetTimestamp();
        double passedUs = _time.GetElapsedTime(_lookedAt, now).TotalMicroseconds;
        _lookedAt = now;
        double most = 0;
        foreach (Source source in _sources)
        {
            long total = ReadTotal(source.Path);
            if (total >= 0)
            {
                double share = passedUs > 0 ? (total - source.Total) / passedUs : 0;
                source.Total = total;
                most = share > most && (!source.IsHost || IsHostShort()) ? share : most;
            }
        }

        return Math.Min(most, 1);
    }

    /// <summary>Microseconds in all, from the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`; -1 where there is none.</summary>
    internal static long ParseTotal(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
        int at = line.IndexOf("total="u8);
        return line.StartsWith("some "u8) && at >= 0 && Utf8Parser.TryParse(line[(at + 6)..], out long total, out _) ? total : -1;
    }

    private bool IsHostShort()
    {
        string[] lines = File.Exists(_memInfo) ? File.ReadAllLines(_memInfo) : [];
        return Field(lines, "MemAvailable:") is { } available && Field(lines, "MemTotal:") is { } total && available < total / AvailableParts;
    }

    private static long? Field(string[] lines, string name) =>
        lines.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
        && long.TryParse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal), NumberStyles.Integer, CultureInfo.InvariantCulture, out long value) ? value : null;

    private static string? OwnGroup(string membership)
    {
        string? path = File.Exists(membership) ? File.ReadLines(membership).FirstOrDefault(line => line.StartsWith("0::/", StringComparison.Ordinal))?[3..] : null;
        return path is { Length: > 1 } ? $"/sys/fs/cgroup{path}/memory.pressure" : null;
    }

    private static long ReadTotal(string path)
    {
        try
        {
            return ParseTotal(File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not in this kernel, switched off (EOPNOTSUPP), or the cgroup has gone.
            return -1;
        }
    }
}
