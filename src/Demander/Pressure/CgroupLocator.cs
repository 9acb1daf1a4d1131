namespace Hecatonchire.Pressure;

/// <summary>Where a process's memory cgroup is in the file system.</summary>
/// <param name="Version">1 or 2.</param>
/// <param name="MountPoint">The visible top of the hierarchy.</param>
/// <param name="Directory">The process's group, at or below <paramref name="MountPoint"/>.</param>
internal readonly record struct CgroupLocation(int Version, string MountPoint, string Directory)
{
    /// <summary>Deeper nesting than any container runtime makes; bounds the descriptors a monitor keeps.</summary>
    public const int DepthMax = 16;

    /// <summary>The group's directory and those above it up to the mount point, innermost first.</summary>
    public IEnumerable<string> PathToTop()
    {
        string directory = Directory;
        for (int depth = 0; depth < DepthMax; depth++)
        {
            yield return directory;
            if (directory.Length <= MountPoint.Length)
            {
                yield break;
            }

            directory = directory[..directory.LastIndexOf('/')];
        }
    }
}

/// <summary>
/// Finds the memory cgroup of a process from /proc/PID/cgroup and the mounts that this process sees (cgroups(7),
/// proc_pid_mountinfo(5)). Both files are relative to the reader's cgroup namespace, so they fit together.
/// </summary>
internal static class CgroupLocator
{
    /// <summary>Null when the process is gone, or its memory controller is mounted nowhere this process can see.</summary>
    public static CgroupLocation? Find(int pid, string procRoot)
    {
        string[] groups, mounts;
        try
        {
            groups = File.ReadAllLines($"{procRoot}/{pid}/cgroup");
            mounts = File.ReadAllLines($"{procRoot}/self/mountinfo");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        // A controller is bound to one hierarchy at a time: where a v1 hierarchy has `memory`, v2 does not (hybrid mounts).
        return FindIn(1, GroupOf(groups, 1), mounts) ?? FindIn(2, GroupOf(groups, 2), mounts);
    }

    private static CgroupLocation? FindIn(int version, string? group, string[] mounts)
    {
        if (group is null)
        {
            return null;
        }

        CgroupLocation? best = null;
        foreach (string line in mounts)
        {
            if (TryParseMount(line, version, out string root, out string mountPoint)
                && TryRelative(group, root, out string relative)
                && Directory.Exists(mountPoint + relative)
                && (best is null || relative.Length > best.Value.Directory.Length - best.Value.MountPoint.Length))
            {
                // Of several mounts the one that shows most of the path: a limit above a bind-mounted part is not readable there.
                best = new CgroupLocation(version, mountPoint, mountPoint + relative);
            }
        }

        return best;
    }

    /// <summary>The path in the line <c>N:memory,...:/path</c> (v1) or <c>0::/path</c> (v2).</summary>
    internal static string? GroupOf(IEnumerable<string> lines, int version)
    {
        foreach (string line in lines)
        {
            int first = line.IndexOf(':', StringComparison.Ordinal);
            int second = first < 0 ? -1 : line.IndexOf(':', first + 1);
            if (second < 0)
            {
                continue;
            }

            string controllers = line[(first + 1)..second];
            if (version == 2 ? controllers.Length == 0 : controllers.Split(',').Contains("memory"))
            {
                // A process whose group was removed under it has no limit to keep.
                string path = line[(second + 1)..];
                return path.EndsWith(" (deleted)", StringComparison.Ordinal) ? null : path;
            }
        }

        return null;
    }

    /// <summary><c>35 31 0:32 ROOT MOUNTPOINT rw,relatime [optional...] - FSTYPE source super,options</c>.</summary>
    internal static bool TryParseMount(string line, int version, out string root, out string mountPoint)
    {
        root = mountPoint = "";
        int dash = line.IndexOf(" - ", StringComparison.Ordinal);
        if (dash < 0)
        {
            return false;
        }

        string[] left = line[..dash].Split(' ');
        string[] right = line[(dash + 3)..].Split(' ');
        if (left.Length < 6 || right.Length < 3)
        {
            return false;
        }

        bool matches = version == 2
            ? right[0] == "cgroup2"
            : right[0] == "cgroup" && right[2].Split(',').Contains("memory");
        root = Unescape(left[3]).TrimEnd('/');
        mountPoint = Unescape(left[4]).TrimEnd('/');
        return matches;
    }

    /// <summary>The group's path below a mount that shows the hierarchy from <paramref name="root"/> on.</summary>
    private static bool TryRelative(string group, string root, out string relative)
    {
        relative = group.TrimEnd('/');
        if (root.Length == 0)
        {
            return !relative.StartsWith("/..", StringComparison.Ordinal);
        }

        if (!relative.StartsWith(root, StringComparison.Ordinal)
            || (relative.Length > root.Length && relative[root.Length] != '/'))
        {
            return false;
        }

        relative = relative[root.Length..];
        return true;
    }

    /// <summary>mountinfo writes space, tab, newline and backslash as three octal digits.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
        {
            return text;
        }

        return text.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal)
            .Replace("\\012", "\n", StringComparison.Ordinal).Replace("\\134", "\\", StringComparison.Ordinal);
    }
}
