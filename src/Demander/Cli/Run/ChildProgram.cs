using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Interop;

namespace Hecatonchire.Cli.Run;

/// <summary>The program that `heca run` was given: it shares our standard streams and our process group.</summary>
internal sealed class ChildProgram : IDisposable
{
    public const string SocketEnvironment = "HECA_SOCKET";

    /// <summary>The process whose children are captured, for libheca.so in them; after "all:", theirs too.</summary>
    public const string CaptureEnvironment = "HECA_CAPTURE";

    public const string Library = "libheca.so";

    private const string LibraryPathEnvironment = "LD_LIBRARY_PATH";
    private const string PreloadEnvironment = "LD_PRELOAD";
    private const int ExecutePermission = 1;
    private const int ExecFormatError = 8;

    private readonly Process _process;

    private ChildProgram(Process process) => _process = process;

    public int ProcessId => _process.Id;

    /// <summary>
    /// The path to execute, found as a shell would: a name without a slash in PATH only. Throws <see cref="CommandException"/>
    /// with status 127 where there is none, 126 where it cannot be executed.
    /// </summary>
    public static string Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal))
        {
            return File.Exists(program) || Directory.Exists(program)
                ? IsExecutable(program) ? Path.GetFullPath(program) : throw NotExecutable(program, "not an executable file")
                : throw new CommandException($"cannot run {program}: there is no such file", ExitStatus.NotFound);
        }

        string[] directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        string[] found = [.. directories.Select(directory => Path.Combine(Path.GetFullPath(directory.Length == 0 ? "." : directory), program)).Where(File.Exists)];
        return found.FirstOrDefault(IsExecutable)
            ?? throw (found.Length > 0
                ? NotExecutable(found[0], "not an executable file")
                : new CommandException($"cannot run {program}: it is not in PATH (write ./{program} for one in this directory)", ExitStatus.NotFound));
    }

    /// <summary>Throws <see cref="CommandException"/> with status 126 where the kernel refuses to execute the file.</summary>
    public static ChildProgram Start(string path, IReadOnlyList<string> arguments, string socketPath, bool captures = false, bool follows = false)
    {
        var start = new ProcessStartInfo(path, arguments) { UseShellExecute = false };
        start.Environment[SocketEnvironment] = socketPath;
        if (captures)
        {
            // What the user preloads comes first, as without us.
            string library = Path.Combine(AppContext.BaseDirectory, Library);
            start.Environment[PreloadEnvironment] =
                Environment.GetEnvironmentVariable(PreloadEnvironment) is { Length: > 0 } preloaded ? $"{preloaded}:{library}" : library;
            start.Environment[CaptureEnvironment] = string.Create(CultureInfo.InvariantCulture, $"{(follows ? "all:" : "")}{Environment.ProcessId}");
        }

        // For programs that link libheca.so and are not installed with it; what the user has set comes first.
        string ours = AppContext.BaseDirectory.TrimEnd('/');
        start.Environment[LibraryPathEnvironment] =
            Environment.GetEnvironmentVariable(LibraryPathEnvironment) is { Length: > 0 } theirs ? $"{theirs}:{ours}" : ours;
        try
        {
            return new ChildProgram(Process.Start(start)!);
        }
        catch (Win32Exception e)
        {
            throw NotExecutable(path, e.NativeErrorCode == ExecFormatError ? "neither a program for this machine nor a script with #!" : e.Message);
        }
    }

    /// <summary>The exit status, 128+n when signal n ended the program.</summary>
    public int WaitForExit()
    {
        _process.WaitForExit();
        return _process.ExitCode;
    }

    public void Signal(int number)
    {
        if (!_process.HasExited)
        {
            // It may be gone by now, which is what most signals ask for.
            _ = Libc.Kill(_process.Id, number);
        }
    }

    public void Dispose() => _process.Dispose();

    private static bool IsExecutable(string path) => File.Exists(path) && Libc.Access(path, ExecutePermission) == 0;

    private static CommandException NotExecutable(string path, string reason) => new($"cannot run {path}: {reason}", ExitStatus.NotExecutable);
}
