using Hecatonchire.Capture;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Advise;

/// <summary>
/// Watches how much anonymous memory a program has, as the pager does before it captures it. The kernel's own peak (ru_maxrss, VmHWM) is not what a budget is a bound for:
/// it has the pages of files in it, and ru_maxrss what was resident in the process that started the program.
/// </summary>
internal sealed class PeakWatch : IDisposable
{
    /// <summary>A program that is compared at all runs for 40 times that, and a look costs microseconds.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(5);

    /// <summary>How many looks there are between two at who is there: that is a look at every process of the host.</summary>
    private const int LooksPerFamily = 50;

    private readonly int _program;
    private readonly bool _follows;
    private readonly Dictionary<int, ProcessMemory> _family = [];
    private readonly ManualResetEvent _end = new(false);
    private readonly Thread _thread;
    private long _peakPages;

    /// <param name="program">A process that runs.</param>
    /// <param name="follows">True: look at what it starts as well; the peak is that of the largest process.</param>
    public PeakWatch(int program, bool follows)
    {
        (_program, _follows) = (program, follows);
        _thread = new Thread(Run) { Name = "heca-peak", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Looks no more; returns the peak.</summary>
    public long End()
    {
        _end.Set();
        _thread.Join();
        return _peakPages * PageSize.Bytes;
    }

    public void Dispose()
    {
        _ = End();
        _end.Dispose();
    }

    private void Run()
    {
        for (int look = 0; ; look++)
        {
            if (look % LooksPerFamily == 0 && (look == 0 || _follows))
            {
                Meet();
            }

            foreach (int process in _family.Keys.ToArray())
            {
                Look(process);
            }

            if (_end.WaitOne(s_pause))
            {
                foreach (ProcessMemory memory in _family.Values)
                {
                    memory.Dispose();
                }

                return;
            }
        }
    }

    private void Meet()
    {
        foreach (int process in (int[])[_program, .. _follows ? Processes.DescendantsOf(_program) : []])
        {
            if (_family.ContainsKey(process))
            {
                continue;
            }

            try
            {
                _family.Add(process, new ProcessMemory(process));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or has become somebody whom we may not look at.
            }
        }
    }

    private void Look(int process)
    {
        try
        {
            long pages = _family[process].ReadPages().Anonymous;
            _peakPages = Math.Max(_peakPages, pages);
        }
        catch (IOException)
        {
            _family[process].Dispose();
            _ = _family.Remove(process);
        }
    }
}
