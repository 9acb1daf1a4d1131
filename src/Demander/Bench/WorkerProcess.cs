using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench;

/// <summary>The parent's end of a <see cref="BenchWorker"/>.</summary>
internal static class WorkerProcess
{
    public const string Subcommand = "bench-worker";
    public const string SocketEnvironment = "HECA_SOCKET";

    /// <summary>How often the pager is asked whether it still can.</summary>
    private const int WatchMs = 250;

    /// <summary>What a run does at the border of its measured part, and where it says how far it is.</summary>
    internal sealed record Hooks
    {
        /// <summary>Gets the worker's process id before it touches any data, and limits it; the worker's memory is swapped then.</summary>
        public Action<int>? Confine { get; init; }

        public Action Measure { get; init; } = static () => { };

        public Action Measured { get; init; } = static () => { };

        public Action<string, long, long> Progress { get; init; } = static (_, _, _) => { };

        /// <summary>Why the run cannot go on; null while it can.</summary>
        public Func<string?> Failure { get; init; } = static () => null;
    }

    /// <summary>
    /// Runs a worker to its end; without a socket, in local memory. Throws <see cref="CommandException"/> when it fails,
    /// <see cref="OperationCanceledException"/> when interrupted. No worker is left in either case.
    /// </summary>
    public static WorkerLine Run(WorkloadOptions options, string? socket, Hooks hooks, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var start = new ProcessStartInfo(OwnProgram(), Arguments(options, socket is not null ? WorkerMemory.Sponsored : hooks.Confine is null ? WorkerMemory.Local : WorkerMemory.Swapped))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // A worker that is killed would leave the runtime's sockets for debuggers among the temporary files.
        start.Environment.TryAdd("DOTNET_EnableDiagnostics", "0");
        start.Environment.Remove(SocketEnvironment);
        if (socket is not null)
        {
            start.Environment[SocketEnvironment] = socket;
        }

        using Process process = Process.Start(start)!;
        string? complaint = null;
        process.ErrorDataReceived += (_, e) => complaint ??= string.IsNullOrWhiteSpace(e.Data) ? null : e.Data.Trim();
        process.BeginErrorReadLine();
        using CancellationTokenRegistration registration = cancellation.Register(() => Kill(process));
        using var watch = new Timer(
            _ =>
            {
                if (hooks.Failure() is not null)
                {
                    Kill(process);
                }
            },
            null, WatchMs, WatchMs);
        try
        {
            WorkerLine? last = Converse(process, hooks);
            process.WaitForExit();
            cancellation.ThrowIfCancellationRequested();
            if (hooks.Failure() is { } failure)
            {
                throw Failed(failure);
            }

            return last switch
            {
                { Phase: WorkerLine.Result } => last,
                { Phase: WorkerLine.Error } => throw Failed($"the worker failed: {last.Message}"),
                _ => throw Ended(process.ExitCode, complaint),
            };
        }
        finally
        {
            Kill(process);
            process.WaitForExit();
        }
    }

    /// <summary>The command line of a worker, without the program.</summary>
    internal static string[] Arguments(WorkloadOptions options, WorkerMemory memory)
    {
        List<string> arguments =
        [
            Subcommand, options.Kind.Name(), "--size", Text(options.Bytes), "--threads", Text(options.Threads),
            "--seed", options.Seed.ToString(CultureInfo.InvariantCulture), "--writes", Text(options.WritePercent), "--passes", Text(options.Passes),
            "--sparse", Text(options.Sparse),
            "--theta", options.Theta.ToString("R", CultureInfo.InvariantCulture),
        ];
        if (options.Accesses is { } accesses)
        {
            arguments.AddRange(["--accesses", Text(accesses)]);
        }

        if (options.TouchesFile is { } file)
        {
            arguments.AddRange(["--touches", file]);
        }

        if (options.Pin)
        {
            arguments.Add("--pin");
        }

        return [.. arguments, "--memory", memory.ToString()];
    }

    /// <summary>heca itself: beside this assembly, also where a test or the dotnet host is the running program.</summary>
    internal static string OwnProgram() => Path.Combine(AppContext.BaseDirectory, "heca") is var own && File.Exists(own) ? own : Environment.ProcessPath!;

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static WorkerLine? Converse(Process process, Hooks hooks)
    {
        WorkerLine? last = null;
        while (process.StandardOutput.ReadLine() is { } text)
        {
            last = Parse(text);
            switch (last)
            {
                case { Phase: WorkerLine.Ready }:
                    hooks.Confine?.Invoke(process.Id);
                    Answer(process);
                    break;
                case { Phase: WorkerLine.Measure }:
                    hooks.Measure();
                    Answer(process);
                    break;
                case { Phase: WorkerLine.Measured }:
                    hooks.Measured();
                    Answer(process);
                    break;
                case { Phase: WorkerLine.Result or WorkerLine.Error }:
                    return last;
                case { Total: { } total }:
                    hooks.Progress(last.Phase, last.Done ?? 0, total);
                    break;
            }
        }

        return last;
    }

    private static WorkerLine? Parse(string text)
    {
        try
        {
            return JsonSerializer.Deserialize<WorkerLine>(text, BenchJson.Line);
        }
        catch (JsonException)
        {
            // The runtime's own last words, perhaps cut short: the exit status tells what happened.
            return null;
        }
    }

    private static void Answer(Process process)
    {
        try
        {
            process.StandardInput.WriteLine(WorkerLine.Go);
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It has ended: the next read says so.
        }
    }

    private static CommandException Ended(int status, string? complaint)
    {
        const int signalBase = 128;
        string how = (status - signalBase) switch
        {
            Libc.SIGKILL => "was killed (SIGKILL), by the kernel for want of memory or by somebody",
            Libc.SIGBUS => "was ended by SIGBUS: a page that no sponsor could return",
            > 0 and var signal => $"was ended by signal {signal}",
            _ => $"ended early with status {status}",
        };
        return Failed($"the worker {how}{(complaint is null ? "" : $" ({complaint})")}");
    }

    private static CommandException Failed(string message) => new(message, ExitStatus.Failed);

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // Ended, which is what is wanted.
        }
    }
}
