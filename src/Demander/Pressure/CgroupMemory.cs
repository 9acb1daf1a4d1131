namespace Hecatonchire.Pressure;

/// <summary>
/// The memory cgroup of a program, v1 or v2: its own level and all above it that this process can see, for every one of
/// them can stop the program. Found once; a program that is moved to another group later is not followed.
/// </summary>
internal sealed class CgroupMemory : IDisposable
{
    private readonly CgroupLevel[] _levels;

    private CgroupMemory(int version, string path, CgroupLevel[] levels)
    {
        Version = version;
        Path = path;
        _levels = levels;
    }

    /// <summary>1 or 2.</summary>
    public int Version { get; }

    /// <summary>The directory of the program's own group.</summary>
    public string Path { get; }

    /// <summary>Innermost first. Those without a limit are among them: one may be set while the program runs.</summary>
    public ReadOnlySpan<CgroupLevel> Levels => _levels;

    /// <summary>The smallest hard limit on the path to the top; long.MaxValue when there is none.</summary>
    public long LimitBytes
    {
        get
        {
            long least = long.MaxValue;
            foreach (CgroupLevel level in _levels)
            {
                least = Math.Min(least, level.LimitBytes);
            }

            return least;
        }
    }

    /// <summary>The smallest memory.high on the path (v2); long.MaxValue when there is none.</summary>
    public long HighBytes
    {
        get
        {
            long least = long.MaxValue;
            foreach (CgroupLevel level in _levels)
            {
                least = Math.Min(least, level.HighBytes);
            }

            return least;
        }
    }

    /// <summary>The level with the smallest bound: the one that <see cref="ReadUsage"/> speaks of.</summary>
    public CgroupLevel Tightest
    {
        get
        {
            CgroupLevel tightest = _levels[0];
            foreach (CgroupLevel level in _levels)
            {
                // Of equal bounds the outer one is nearer to it: it counts more.
                if (level.BoundBytes <= tightest.BoundBytes)
                {
                    tightest = level;
                }
            }

            return tightest;
        }
    }

    /// <summary>Null when the process is in no memory cgroup, or in one without a limit anywhere on its path.</summary>
    public static CgroupMemory? Find(int pid, string procRoot = "/proc")
    {
        CgroupMemory? memory = FindAny(pid, procRoot);
        if (memory is null || memory.LimitBytes != long.MaxValue || memory.HighBytes != long.MaxValue)
        {
            return memory;
        }

        memory.Dispose();
        return null;
    }

    /// <summary>As <see cref="Find"/>, but also a group without a limit.</summary>
    public static CgroupMemory? FindAny(int pid, string procRoot = "/proc")
    {
        if (CgroupLocator.Find(pid, procRoot) is not { } location)
        {
            return null;
        }

        string pager = CgroupLocator.Find(Environment.ProcessId, procRoot)?.Directory ?? "";
        var levels = new List<CgroupLevel>();
        foreach (string directory in location.PathToTop())
        {
            bool hasPager = pager == directory || pager.StartsWith(directory + "/", StringComparison.Ordinal);
            if (CgroupLevel.TryOpen(location.Version, directory, hasPager) is { } level)
            {
                levels.Add(level);
            }
        }

        return levels.Count == 0 ? null : new CgroupMemory(location.Version, location.Directory, [.. levels]);
    }

    /// <summary>Bytes charged at the level with the smallest bound; -1 when the group is gone. No allocation.</summary>
    public long ReadUsage() => Tightest.ReadUsage();

    /// <summary>Droppable page cache at the level with the smallest bound. No allocation; some 10 us.</summary>
    public long ReadReclaimableFile() => Tightest.ReadReclaimableFile();

    public void Dispose()
    {
        foreach (CgroupLevel level in _levels)
        {
            level.Dispose();
        }
    }
}
