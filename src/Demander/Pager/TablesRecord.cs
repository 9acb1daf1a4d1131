using System.Globalization;
using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.Pager;

/// <summary>
/// Which page tables a program was given, and as which demander its pager borrowed, written down where only the pager writes: a program that comes to the next pager with
/// others is not listened to, and that one knows of whom else there are slots. One that is about to exchange its tables for new ones may come with either.
/// </summary>
internal sealed class TablesRecord(string folder, int process)
{
    private const string Extension = ".tables";

    private readonly string _path = Path.Combine(folder, process.ToString(CultureInfo.InvariantCulture) + Extension);

    public int Process => process;

    /// <summary>Those that are in a folder.</summary>
    public static IEnumerable<TablesRecord> All(string folder) =>
        Directory.GetFiles(folder, "*" + Extension)
            .Select(path => int.TryParse(Path.GetFileNameWithoutExtension(path), NumberStyles.None, CultureInfo.InvariantCulture, out int process) ? process : 0)
            .Where(process => process > 0)
            .Select(process => new TablesRecord(folder, process));

    /// <summary>Those of a family.</summary>
    public static IEnumerable<TablesRecord> Of(string folder, Guid demander) =>
        All(folder).Where(record => record.Read() is [var borrower, ..] && borrower == demander.ToString());

    /// <summary>Throws <see cref="IOException"/>; what was written before holds then.</summary>
    public void Write(Guid demander, params IEnumerable<string> identities)
    {
        // Whole, or not at all: the pager may end at any moment.
        string written = _path + ".new";
        File.WriteAllLines(written, [demander.ToString(), Processes.StartOf(process) ?? "", .. identities]);
        File.Move(written, _path, overwrite: true);
    }

    /// <summary>True when the program was given this file.</summary>
    public bool Has(string identity) => Read().Skip(2).Contains(identity, StringComparer.Ordinal);

    /// <summary>True while the process is there and holds page tables: it comes to the next pager, then. One that has called exec since does not hold any.</summary>
    public bool CanCome => Read() is [_, var start, ..] && Processes.StartOf(process) is { } now && now == start && HoldsTables();

    public void Delete() => File.Delete(_path);

    private string[] Read()
    {
        try
        {
            return File.ReadAllLines(_path);
        }
        catch (FileNotFoundException)
        {
            return [];
        }
    }

    /// <summary>One that is just exchanging its tables for new ones may have neither under the names that are looked at; but not twice, for it holds the new ones by then.</summary>
    private bool HoldsTables() => SeesTables() || SeesTables();

    private bool SeesTables()
    {
        try
        {
            return Directory.EnumerateFiles($"/proc/{process}/fd").Any(path => new FileInfo(path).LinkTarget?.Contains(PageTableFile.Name, StringComparison.Ordinal) == true);
        }
        catch (UnauthorizedAccessException)
        {
            return true;
        }
        catch (IOException)
        {
            // It has ended.
            return false;
        }
    }
}
