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
