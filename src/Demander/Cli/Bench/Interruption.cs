using System.Runtime.InteropServices;
using Hecatonchire.Bench;
using Hecatonchire.Interop;

namespace Hecatonchire.Cli.Bench;

/// <summary>SIGINT, SIGTERM and SIGHUP as a token, so that the worker, the pager, the sponsor and swap devices end in order.</summary>
internal sealed class Interruption : IDisposable
{
    private const int SignalBase = 128;

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private int _signal = Libc.SIGINT;

    private Interruption() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, c => Interrupt(c, Libc.SIGINT)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => Interrupt(c, Libc.SIGTERM)),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, c => Interrupt(c, 1)),
    ];

    /// <summary>Runs what can be interrupted; returns its status, or 128 + signal with a line that ends in <paramref name="advice"/>.</summary>
    public static int Guard(ProgressDisplay display, Func<CancellationToken, int> run, string advice = "")
    {
        using var interruption = new Interruption();
        try
        {
            return run(interruption._source.Token);
        }
        catch (OperationCanceledException)
        {
            display.Clear();
            return HecaCommandLine.Fail(SignalBase + Volatile.Read(ref interruption._signal), $"interrupted{advice}");
        }
        finally
        {
            display.Clear();
        }
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }

        _source.Dispose();
    }

    private void Interrupt(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        Volatile.Write(ref _signal, signal);
        _source.Cancel();
    }
}
