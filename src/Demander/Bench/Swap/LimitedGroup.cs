using System.Globalization;
using Hecatonchire.Cli;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Pressure;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// A memory cgroup of our own, v1 or v2, for the worker alone: nothing else of this host is swapped for it. What a process has
/// taken before it came stays with the group it comes from, so the limit speaks of what the worker takes from then on: its data.
/// </summary>
internal sealed class LimitedGroup : IDisposable
{
    /// <summary>
    /// Reclaim decides on statistics of the group that the kernel brings up to date every two seconds only, or when somebody reads them.
    /// With old ones it can take an empty list of inactive pages for a full one, find nothing in it sixteen times and kill,
    /// though most pages could go. Seen on Linux 6.18 in half of the quicksorts over zram; not once when they are read so often.
    /// </summary>
    private const int FreshMs = 50;

    /// <summary>The kernel's default. A group under one with 0 would not swap at all; among data alone it decides nothing else.</summary>
    private const string Swappiness = "60";

    private readonly CgroupLocation _parent;
    private readonly string _directory;
    private readonly KernelFile? _statistics;
    private readonly Timer _reader;

    private LimitedGroup(CgroupLocation parent, string directory)
    {
        _parent = parent;
        _directory = directory;
        _statistics = KernelFile.TryOpen($"{directory}/memory.stat");
        _reader = new Timer(_ => ReadStatistics(), null, FreshMs, FreshMs);
    }

    /// <summary>Throws <see cref="CommandException"/> where no such group can be made.</summary>
    public static LimitedGroup Create(long limitBytes, SwapJournal journal)
    {
        CgroupLocation own = CgroupLocator.Find(Environment.ProcessId, "/proc")
            ?? throw new CommandException("no memory cgroup can be made: the controller is mounted nowhere", ExitStatus.HostCannot);

        // v2 allows no group with a limit below one that has processes, but for the top.
        string parent = own.Version == 1 ? own.Directory : own.MountPoint;
        string directory = $"{parent}/heca-bench-{Environment.ProcessId}";
        journal.Add(new GroupRemoval(directory));
        Directory.CreateDirectory(directory);
        var group = new LimitedGroup(own, directory);
        try
        {
            group.SetLimit(limitBytes);
            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    public void Add(int process) =>
        KernelSetting.Write($"{_directory}/cgroup.procs", process.ToString(CultureInfo.InvariantCulture));

    /// <summary>How often the kernel has killed in this group for want of memory.</summary>
    public long OomKills() =>
        long.TryParse(
            new HostFiles().ReadValue(_parent.Version == 1 ? $"{_directory}/memory.oom_control" : $"{_directory}/memory.events", "oom_kill "),
            NumberStyles.None, CultureInfo.InvariantCulture, out long kills)
            ? kills
            : 0;

    /// <summary>Stops reading; the group itself goes with the journal's steps.</summary>
    public void Dispose()
    {
        using var idle = new ManualResetEvent(false);
        if (_reader.Dispose(idle))
        {
            idle.WaitOne();
        }

        _statistics?.Dispose();
    }

    internal static IEnumerable<int> ProcessesOf(string directory) =>
        (new HostFiles().Read($"{directory}/cgroup.procs") ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => int.Parse(line, CultureInfo.InvariantCulture));

    private void ReadStatistics()
    {
        Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
        _statistics?.Read(text);
    }

    private void SetLimit(long bytes)
    {
        string limit = bytes.ToString(CultureInfo.InvariantCulture);
        if (_parent.Version == 1)
        {
            KernelSetting.Write($"{_directory}/memory.limit_in_bytes", limit);
            KernelSetting.Write($"{_directory}/memory.swappiness", Swappiness);
            return;
        }

        var files = new HostFiles();
        if (!files.Exists($"{_directory}/memory.max"))
        {
            throw new CommandException(
                $"the memory controller is not on for groups below {_parent.MountPoint}: echo +memory > {_parent.MountPoint}/cgroup.subtree_control",
                ExitStatus.HostCannot);
        }

        if (files.Read("/proc/sys/vm/swappiness") == "0")
        {
            throw new CommandException("vm.swappiness is 0: the kernel would not swap; sysctl vm.swappiness=60", ExitStatus.HostCannot);
        }

        KernelSetting.Write($"{_directory}/memory.max", limit);
    }
}
