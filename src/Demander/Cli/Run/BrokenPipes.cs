using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Cli.Run;

/// <summary>
/// As long as this lives, programs that are started find SIGPIPE as a shell's do. The runtime ignores it, and what is ignored stays so in a child: its program would write on into
/// a closed pipe. A handler ends with exec, but the runtime installs none for what is ignored.
/// </summary>
internal sealed class BrokenPipes : IDisposable
{
    private const nint Default = 0, Ignore = 1;
    private const int BrokenPipe = 13;

    private readonly PosixSignalRegistration _registration;

    public BrokenPipes()
    {
        _ = Libc.SetSignalAction(BrokenPipe, Default);
        _registration = PosixSignalRegistration.Create((PosixSignal)BrokenPipe, context => context.Cancel = true);
    }

    public void Dispose()
    {
        _registration.Dispose();
        _ = Libc.SetSignalAction(BrokenPipe, Ignore);
    }
}
