using System.Globalization;

namespace Hecatonchire.Interop;

/// <summary>What /proc says of processes.</summary>
internal static class Processes
{
    /// <summary>/proc/PID/stat behind the name, which is all that may have spaces; the process's state is the first field.</summary>
    private const int ParentField = 1, StartField = 19;

    /// <summary>Deeper than processes are.</summary>
    private const int GenerationsMax = 1000;

    /// <summary>When a process was started, in ticks since the host was: with its number, the process. Null when it has ended.</summary>
    public static string? StartOf(int process) => StatOf(process, StartField);

    /// <summary>True for a process and what it has started, directly or not, as long as none in between has ended.</summary>
    public static bool Descends(int process, int ancestor)
    {
        for (int i = 0; i < GenerationsMax && process > 0; i++)
        {
            if (process == ancestor)
            {
                return true;
            }

            process = StatOf(process, ParentField) is { } parent ? int.Parse(parent, CultureInfo.InvariantCulture) : 0;
        }

        return false;
    }

    /// <summary>What a process has started, directly or not, as long as none in between has ended. It looks at every process of the host.</summary>
    public static IReadOnlyList<int> DescendantsOf(int ancestor)
    {
        var children = new Dictionary<int, List<int>>();
        foreach (string entry in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out int process)
                && StatOf(process, ParentField) is { } parent)
            {
                int number = int.Parse(parent, CultureInfo.InvariantCulture);
                if (!children.TryGetValue(number, out List<int>? siblings))
                {
                    children[number] = siblings = [];
                }

                siblings.Add(process);
            }
        }

        List<int> found = [ancestor];
        for (int i = 0; i < found.Count; i++)
        {
            if (children.Remove(found[i], out List<int>? next))
            {
                found.AddRange(next);
            }
        }

        return found[1..];
    }

    private static string? StatOf(int process, int field)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{process}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > field ? fields[field] : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
