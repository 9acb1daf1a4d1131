namespace Hecatonchire.Pressure;

/// <summary>
/// One memory cgroup on the path from a program's own to the top. A limit counts everything below it, so each level has its own
/// usage to hold against its own limit. Reads are allocation-free and may come from any thread.
/// </summary>
internal sealed class CgroupLevel : IDisposable
{
    /// <summary>Below the margin there is no promise: usage is charged in batches and watched with a delay.</summary>
    public const long MarginBytesMin = 4L << 20;

    /// <summary>
    /// More where the pager is in the group too, as in a container: with the first page that leaves it touches its buffers (8 MiB seen at
    /// once) and fills those of its sockets, which v2 counts. All of that comes when the program already has what is left.
    /// </summary>
    public const long PagerGrowthBytes = 24L << 20;

    /// <summary>1/50: 2 % of the limit.</summary>
    private const int MarginShare = 50;

    private readonly KernelFile _usage;
    private readonly KernelFile _limit;
    private readonly KernelFile? _high;
    private readonly KernelFile? _stat;
    private long _limitBytes = long.MaxValue;
    private long _highBytes = long.MaxValue;

    // The last sample of the monitor thread, read by the pager thread. The two need not fit together: see OtherBytes.
    private long _fileBytes;
    private long _otherBytes;

    private CgroupLevel(int version, string directory, KernelFile usage, KernelFile limit, KernelFile? high, KernelFile? stat)
    {
        Version = version;
        Directory = directory;
        _usage = usage;
        _limit = limit;
        _high = high;
        _stat = stat;
        RefreshLimits();
    }

    public int Version { get; }

    public string Directory { get; }

    /// <summary>memory.max or limit_in_bytes; long.MaxValue where there is none.</summary>
    public long LimitBytes => Volatile.Read(ref _limitBytes);

    /// <summary>memory.high (v2); long.MaxValue where there is none. Above it the kernel throttles who charges: the pager.</summary>
    public long HighBytes => Volatile.Read(ref _highBytes);

    /// <summary>What usage must stay below: the lower of limit and high.</summary>
    public long BoundBytes => Math.Min(LimitBytes, HighBytes);

    public bool IsLimited => BoundBytes != long.MaxValue;

    /// <summary>
    /// Room kept free below the bound: 2 % of it, at least 4 MiB, at most a quarter of it. It covers the charges that each CPU takes in
    /// advance (64 pages), the distance between two looks of v1 at its thresholds (128 page events on a CPU), and
    /// what the program takes for itself between two refreshes.
    /// </summary>
    public long MarginBytes => MarginOf(BoundBytes, HasPager);

    /// <summary>This process is in the group or below it.</summary>
    public bool HasPager { get; init; }

    public int UsageDescriptor => _usage.Descriptor;

    public static long MarginOf(long bound, bool hasPager = false) =>
        Math.Min(Math.Max(MarginBytesMin, bound / MarginShare) + (hasPager ? PagerGrowthBytes : 0), bound / 4);

    /// <summary>Null where the directory has no memory controller (the top of v2, or one that hands none down).</summary>
    public static CgroupLevel? TryOpen(int version, string directory, bool hasPager = false)
    {
        (string usageName, string limitName) = version == 1
            ? ("memory.usage_in_bytes", "memory.limit_in_bytes")
            : ("memory.current", "memory.max");
        KernelFile? usage = KernelFile.TryOpen($"{directory}/{usageName}");
        KernelFile? limit = usage is null ? null : KernelFile.TryOpen($"{directory}/{limitName}");
        if (usage is null || limit is null)
        {
            usage?.Dispose();
            return null;
        }

        KernelFile? high = version == 2 ? KernelFile.TryOpen($"{directory}/memory.high") : null;
        return new CgroupLevel(version, directory, usage, limit, high, KernelFile.TryOpen($"{directory}/memory.stat")) { HasPager = hasPager };
    }

    /// <summary>Bytes charged to the group and all below it; -1 when the group is gone.</summary>
    public long ReadUsage() => _usage.ReadNumber();

    /// <summary>Page cache that the kernel can drop at once: on the file lists, not dirty, not under write-back. 0 when unknown.</summary>
    public long ReadReclaimableFile()
    {
        Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
        int length = _stat?.Read(text) ?? 0;
        return length <= 0 ? 0 : Version == 1 ? ReclaimableV1(text[..length]) : ReclaimableV2(text[..length]);
    }

    /// <summary>Reads the limits again; true when one changed.</summary>
    public bool RefreshLimits()
    {
        long limit = OrNone(_limit.ReadNumber());
        long high = OrNone(_high?.ReadNumber() ?? -1);
        if (Version == 1)
        {
            limit = Math.Min(limit, ReadHierarchicalLimit());
        }

        bool changed = limit != LimitBytes || high != HighBytes;
        Volatile.Write(ref _limitBytes, limit);
        Volatile.Write(ref _highBytes, high);
        return changed;
    }

    /// <summary>
    /// Takes page cache and the rest apart; monitor thread. <paramref name="resident"/> is the sponsored memory in the program.
    /// </summary>
    public void Sample(long usage, long resident)
    {
        long file = ReadReclaimableFile();
        Volatile.Write(ref _otherBytes, Math.Max(0, usage - resident - file));
        Volatile.Write(ref _fileBytes, file);
    }

    /// <summary>
    /// What is neither sponsored nor droppable, from a fresh usage and the last sample. When usage has fallen since the sample,
    /// it is taken for page cache that went: the rest is not believed to shrink until the next sample says so.
    /// </summary>
    public long OtherBytes(long usage, long resident)
    {
        long unsponsored = Math.Max(0, usage - resident);
        return Math.Max(unsponsored - Volatile.Read(ref _fileBytes), Math.Min(unsponsored, Volatile.Read(ref _otherBytes)));
    }

    public void Dispose()
    {
        _usage.Dispose();
        _limit.Dispose();
        _high?.Dispose();
        _stat?.Dispose();
    }

    private static long OrNone(long value) => value < 0 ? long.MaxValue : value;

    /// <summary>v1 says in memory.stat what ancestors allow, also those that this mount does not show.</summary>
    private long ReadHierarchicalLimit()
    {
        Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
        int length = _stat?.Read(text) ?? 0;
        return length <= 0 ? long.MaxValue : OrNone(KernelFile.FindValue(text[..length], "hierarchical_memory_limit"u8));
    }

    private static long ReclaimableV1(ReadOnlySpan<byte> stat) => Reclaimable(
        KernelFile.FindValue(stat, "total_inactive_file"u8), KernelFile.FindValue(stat, "total_active_file"u8),
        KernelFile.FindValue(stat, "total_dirty"u8), KernelFile.FindValue(stat, "total_writeback"u8));

    private static long ReclaimableV2(ReadOnlySpan<byte> stat) => Reclaimable(
        KernelFile.FindValue(stat, "inactive_file"u8), KernelFile.FindValue(stat, "active_file"u8),
        KernelFile.FindValue(stat, "file_dirty"u8), KernelFile.FindValue(stat, "file_writeback"u8));

    private static long Reclaimable(long inactive, long active, long dirty, long writeback) =>
        Math.Max(0, Math.Max(0, inactive) + Math.Max(0, active) - Math.Max(0, dirty) - Math.Max(0, writeback));
}
