using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Cli.Run;

/// <summary>
/// Passes signals on to the program. From its creation on none of them ends this process: it has to outlive the program. What
/// arrives before the program has started is delivered once it has.
/// </summary>
internal sealed class SignalForwarder : IDisposable
{
    private const int User1 = 10;
    private const int User2 = 12;

    private static readonly (PosixSignal Signal, int Number)[] Always =
    [
        (PosixSignal.SIGTERM, 15), (PosixSignal.SIGHUP, 1), (PosixSignal.SIGCONT, 18), (PosixSignal.SIGWINCH, 28),
        ((PosixSignal)User1, User1), ((PosixSignal)User2, User2),
    ];

    /// <summary>What the terminal's driver sends to the whole foreground group, the program included.</summary>
    private static readonly (PosixSignal Signal, int Number)[] FromKeyboard = [(PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3)];

    private readonly Lock _gate = new();
    private readonly BrokenPipes _brokenPipes = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly List<int> _early = [];
    private ChildProgram? _program;
    private IReadOnlyList<int> _forked = [];
    private bool _ended;

    public SignalForwarder()
    {
        foreach ((PosixSignal signal, int number) in Always)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context => Handle(context, number)));
        }

        foreach ((PosixSignal signal, int number) in FromKeyboard)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                if (IsForeground())
                {
                    context.Cancel = true;
                    return;
                }

                Handle(context, number);
            }));
        }
    }

    public void ForwardTo(ChildProgram program)
    {
        lock (_gate)
        {
            _program = program;
            foreach (int number in _early)
            {
                program.Signal(number);
            }

            _early.Clear();
        }
    }

    /// <summary>The program has ended, and these are the children that it has left: they get what arrives.</summary>
    public void ForwardTo(IReadOnlyList<int> forked)
    {
        lock (_gate)
        {
            _forked = forked;
        }
    }

    /// <summary>The program has ended: what arrives from now on is for nobody.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _ended = true;
            _program = null;
        }
    }

    public void Dispose()
    {
        Stop();
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }

        _brokenPipes.Dispose();
    }

    private void Handle(PosixSignalContext context, int number)
    {
        context.Cancel = true;
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            if (_program is null)
            {
                _early.Add(number);
            }
            else
            {
                _program.Signal(number);
                foreach (int process in _forked.Where(process => process > 0))
                {
                    _ = Libc.Kill(process, number);
                }
            }
        }
    }

    /// <summary>True when this process, and with it the program, is in the foreground of its terminal.</summary>
    private static bool IsForeground()
    {
        try
        {
            using SafeFileHandle terminal = File.OpenHandle("/dev/tty");
            return Libc.ForegroundGroup((int)terminal.DangerousGetHandle()) == Libc.ProcessGroup();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            // No terminal at all.
            return false;
        }
    }
}
