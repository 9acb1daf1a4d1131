using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>A thread of another process that does nothing until this ends: one that hangs. By ptrace(2), from a process whose only thread that is.</summary>
internal sealed class StoppedThread : IDisposable
{
    private const string Script =
        """
        import ctypes, os, sys
        libc = ctypes.CDLL(None, use_errno=True)
        SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
        thread = int(sys.argv[1])
        for request in (SEIZE, INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                sys.exit(os.strerror(ctypes.get_errno()))
        os.waitpid(thread, WALL)
        print("stopped", flush=True)
        sys.stdin.readline()
        """;

    private readonly Process _tracer;

    public StoppedThread(int process, string name)
    {
        string thread = Directory.GetDirectories($"/proc/{process}/task").Single(task => File.ReadAllText(Path.Combine(task, "comm")).Trim() == name);
        _tracer = Process.Start(new ProcessStartInfo(Capability.Python, ["-c", Script, Path.GetFileName(thread)]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        if (_tracer.StandardOutput.ReadLine() != "stopped")
        {
            Assert.Fail($"{name} cannot be stopped: {_tracer.StandardError.ReadToEnd()}");
        }
    }

    /// <summary>It goes on: the kernel lets go what a tracer that ends has held.</summary>
    public void Dispose()
    {
        _tracer.StandardInput.Close();
        _tracer.WaitForExit();
        _tracer.Dispose();
    }
}
