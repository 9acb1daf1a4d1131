using Hecatonchire.Cli;
using Hecatonchire.Host;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// What was done to this host and how to undo it, in a file that is written before each thing is done. So even a run that is
/// killed leaves the next one all it needs to clean up. Whoever has the journal has locked its file: one run at a time.
/// </summary>
internal sealed class SwapJournal : IDisposable
{
    public const string DefaultPath = "/run/heca-bench.undo";

    private readonly FileStream _file;
    private readonly StreamWriter _writer;
    private readonly List<UndoStep> _steps = [];
    private bool _disposed;

    private SwapJournal(FileStream file)
    {
        _file = file;
        _writer = new StreamWriter(file) { AutoFlush = true };
    }

    /// <summary>
    /// Undoes what a killed run has left, and starts anew. Throws <see cref="CommandException"/> while another run has the
    /// journal, or when leftovers cannot be undone.
    /// </summary>
    public static SwapJournal Open(string path = DefaultPath)
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not DirectoryNotFoundException)
        {
            throw new CommandException($"another `heca bench` with kernel swap is running on this host ({path} is locked)", ExitStatus.Failed);
        }

        var journal = new SwapJournal(file);
        try
        {
            journal.UndoLeftovers();
            return journal;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Undoes what a killed run has left, if there is any and no other run is at work.</summary>
    public static void CleanUp(string path = DefaultPath)
    {
        if (!File.Exists(path))
        {
            return;
        }

        try
        {
            Open(path).Dispose();
        }
        catch (Exception e) when (e is CommandException or UnauthorizedAccessException)
        {
            // Somebody else's to clean up, or the next run's with kernel swap, which says why it cannot.
        }
    }

    /// <summary>Writes down how to undo what the caller does next.</summary>
    public void Add(UndoStep step)
    {
        _writer.WriteLine(step.ToLine());
        _steps.Add(step);
    }

    /// <summary>Undoes all, the last first. Throws <see cref="CommandException"/> when something stays, which then is in the file.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        try
        {
            UndoAll();

            // Emptied first: whoever opened it meanwhile must not find steps in it that are done.
            File.Delete(_file.Name);
        }
        finally
        {
            _file.Dispose();
        }
    }

    private static string BootId() => new HostFiles().Read("/proc/sys/kernel/random/boot_id") ?? "";

    private void UndoLeftovers()
    {
        string[] lines = new StreamReader(_file).ReadToEnd().Split('\n');
        bool sameBoot = lines[0] == BootId();
        _steps.AddRange(lines.Skip(1).Select(UndoStep.Parse).OfType<UndoStep>().Where(s => sameBoot || s.OutlivesBoot));
        UndoAll();
        _writer.WriteLine(BootId());
    }

    private void UndoAll()
    {
        string? failure = null;
        _steps.ForEach(step => Try(step.EndUsers, ref failure));
        for (int i = _steps.Count - 1; i >= 0; i--)
        {
            if (Try(_steps[i].Undo, ref failure))
            {
                _steps.RemoveAt(i);
            }
        }

        _file.SetLength(0);
        if (_steps.Count > 0)
        {
            _writer.WriteLine(BootId());
            _steps.ForEach(s => _writer.WriteLine(s.ToLine()));
            throw new CommandException($"not everything could be undone ({failure}); the next `heca bench` tries again", ExitStatus.Failed);
        }
    }

    private static bool Try(Action undo, ref string? failure)
    {
        try
        {
            undo();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            failure ??= e.Message;
            return false;
        }
    }
}
