using System.Diagnostics;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Advise;

/// <summary>
/// Ends a program, what it has started, and where that is `heca run` its program: politely first. `heca run` itself is left to end by its own, as it does once its program has,
/// so that it takes away what it made.
/// </summary>
internal sealed class ProgramStop : IDisposable
{
    private readonly Process _process;
    private readonly bool _isHeca;
    private readonly TimeSpan _grace;
    private readonly Lock _gate = new();
    private readonly Timer _timer;

    /// <summary>With the time of their start: process ids come again.</summary>
    private readonly HashSet<(int Process, string Start)> _started = [];

    private int _step;

    /// <param name="process">What was started; disposed by others, later than this.</param>
    /// <param name="isHeca">True: it is `heca run`.</param>
    /// <param name="grace">After SIGTERM, for a program to end; as long again for a `heca run` whose program is gone.</param>
    public ProgramStop(Process process, bool isHeca, TimeSpan grace)
    {
        (_process, _isHeca, _grace) = (process, isHeca, grace);
        _timer = new Timer(_ => Step());
    }

    /// <summary>From any thread, any number of times.</summary>
    public void Begin()
    {
        lock (_gate)
        {
            if (_step == 0)
            {
                Step();
            }
        }
    }

    /// <summary>The process has ended: if it was made to, nothing that it has started is left either.</summary>
    public void Finish()
    {
        lock (_gate)
        {
            if (_step > 0)
            {
                Signal(Libc.SIGKILL);
            }

            // Not again.
            _step = int.MaxValue;
        }
    }

    public void Dispose()
    {
        Finish();
        _timer.Dispose();
    }

    private void Step()
    {
        lock (_gate)
        {
            switch (_step)
            {
                case 0:
                    Look();
                    SignalProcess(Libc.SIGTERM);
                    Signal(Libc.SIGTERM);
                    break;
                case 1:
                    Look();
                    Signal(Libc.SIGKILL);
                    if (!_isHeca)
                    {
                        SignalProcess(Libc.SIGKILL);
                    }

                    break;
                case 2:
                    SignalProcess(Libc.SIGKILL);
                    return;
                default:
                    return;
            }

            _step++;
            _ = _timer.Change(_grace, Timeout.InfiniteTimeSpan);
        }
    }

    private void Look()
    {
        foreach (int process in Processes.DescendantsOf(_process.Id))
        {
            if (Processes.StartOf(process) is { } start)
            {
                _ = _started.Add((process, start));
            }
        }
    }

    private void Signal(int signal)
    {
        foreach ((int process, string start) in _started)
        {
            if (Processes.StartOf(process) == start)
            {
                _ = Libc.Kill(process, signal);
            }
        }
    }

    private void SignalProcess(int signal)
    {
        if (!_process.HasExited)
        {
            _ = Libc.Kill(_process.Id, signal);
        }
    }
}
