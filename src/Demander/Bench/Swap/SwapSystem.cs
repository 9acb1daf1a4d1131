using System.Globalization;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Pager;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// Kernel swap as the system that keeps a benchmark's data: a swap area of our own, and a cgroup that lets as much of the data be
/// in memory as a pager would. All of it is gone after <see cref="Dispose"/>; the worker must have ended before, for what it has
/// in swap would be brought back first.
/// </summary>
internal sealed class SwapSystem : IDisposable
{
    /// <summary>Swap beyond the data: for pages of the process itself, and for runs of slots that are taken by halves.</summary>
    private const long SpareBytes = 64L << 20;

    /// <summary>A page table of 4 KiB maps 2 MiB.</summary>
    private const int PageTableShare = 512;

    /// <summary>16 KiB of the kernel's stack and the touched top of the thread's own.</summary>
    private const long ThreadBytes = 64L << 10;

    /// <summary>The runtime's heap and compiled code that come after the start, and charges that each CPU takes in advance.</summary>
    private const long ProcessBytes = 512L << 10;

    private readonly SwapJournal _journal;
    private LimitedGroup? _group;
    private string _area = "";
    private Func<long> _usedBytes = () => 0;

    private SwapSystem(SwapJournal journal) => _journal = journal;

    /// <summary>Bytes on the swap device: of zram and zswap the memory that the compressed pages take.</summary>
    public long UsedBytes => _usedBytes();

    public long OomKills => _group!.OomKills();

    public long LimitBytes { get; private set; }

    /// <summary>Throws <see cref="CommandException"/>; nothing is left then.</summary>
    public static SwapSystem Start(BenchSettings settings)
    {
        if (Libc.EffectiveUser() != 0)
        {
            throw new CommandException($"--system {settings.System.Name()} takes root: it makes swap and a memory cgroup", ExitStatus.HostCannot);
        }

        var system = new SwapSystem(SwapJournal.Open());
        try
        {
            system.SetUp(settings);
            return system;
        }
        catch
        {
            system.Dispose();
            throw;
        }
    }

    /// <summary>Puts the worker under the limit; it must not have touched its data yet.</summary>
    public void Confine(int worker) => _group!.Add(worker);

    /// <summary>
    /// What the kernel has swapped since boot, in a pager's terms; faults are not among it. Of the whole host: it is the worker's as
    /// long as nothing else is swapped.
    /// </summary>
    public static PagerSnapshot Counters()
    {
        var files = new HostFiles();
        string[] lines = (files.Read("/proc/vmstat") ?? "").Split('\n');
        return new PagerSnapshot
        {
            // What zswap takes does not count as swapped, and what zswap writes back counts twice.
            PagesIn = Count("pswpin") + Count("zswpin"),
            PagesOut = Count("pswpout") + Count("zswpout") - Count("zswpwb"),
            PagesPrefetched = Count("swap_ra"),
            PrefetchUsed = Count("swap_ra_hit"),
        };

        long Count(string name) => lines.FirstOrDefault(l => l.StartsWith(name + " ", StringComparison.Ordinal)) is { } line
            ? long.Parse(line.AsSpan(name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture)
            : 0;
    }

    public void Dispose()
    {
        _group?.Dispose();
        _journal.Dispose();
    }

    private void SetUp(BenchSettings settings)
    {
        long bytes = settings.Workload.Bytes, areaBytes = bytes + SpareBytes;
        LimitBytes = settings.Local.Resolve(bytes) + AllowanceBytes(settings.Workload);
        _group = LimitedGroup.Create(LimitBytes, _journal);
        if (settings.System is MemorySystem.ZramLzoRle or MemorySystem.ZramLz4)
        {
            ZramDevice.CheckRoom(bytes);
            var device = ZramDevice.Create(settings.System == MemorySystem.ZramLz4 ? "lz4" : "lzo-rle", areaBytes, _journal);
            _usedBytes = device.UsedBytes;
            _area = device.Path;
        }
        else
        {
            _area = SwapFile.Create(settings.SwapDirectory, areaBytes, _journal);
            _usedBytes = () => SwapArea.UsedBytes(_area) ?? 0;
            if (settings.System == MemorySystem.Zswap)
            {
                ZswapSettings.Apply(_journal);
                _usedBytes = ZswapSettings.UsedBytes;
            }
        }

        SwapArea.TurnOn(_area, _journal);
    }

    /// <summary>
    /// What the worker's group is charged besides data, so that as much data may be here as with a pager: page tables, each thread's
    /// stacks, and the process itself since it came into the group. Measured on v1: with it 98 to 101 % of the budget are data.
    /// </summary>
    private static long AllowanceBytes(WorkloadOptions workload) =>
        (workload.Bytes / PageTableShare) + (workload.Threads * ThreadBytes) + ProcessBytes;
}
