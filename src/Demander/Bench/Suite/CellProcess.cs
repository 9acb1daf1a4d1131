using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Suite;

/// <summary>How the command of a cell ended.</summary>
/// <param name="Status">128 + n for a signal n.</param>
/// <param name="Output">All of standard output.</param>
/// <param name="Complaint">The last line on standard error that is not progress; null without one.</param>
internal sealed record CellEnd(int Status, string Output, string? Complaint, TimeSpan Time, bool TimedOut);

/// <summary>
/// The command of a cell in a process of its own. What goes wrong in it, even its death, is a result; and if we are killed, it
/// goes on to its end and takes away what it made.
/// </summary>
internal static class CellProcess
{
    /// <summary>After SIGTERM: to end the program, give memory back and take swap devices away.</summary>
    private static readonly TimeSpan s_graceMax = TimeSpan.FromSeconds(60);

    /// <summary>Throws <see cref="OperationCanceledException"/> when interrupted, after the command has ended.</summary>
    public static CellEnd Run(string program, string[] arguments, TimeSpan limit, Action<string, int> progress, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        string? complaint = null;
        bool timedOut = false;
        long start = Stopwatch.GetTimestamp();
        // Standard input too: a child that has none of the terminal does not make the runtime set that up anew, in the midst of progress.
        using Process process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        process.ErrorDataReceived += (_, line) =>
        {
            if (ParseProgress(line.Data) is { } at)
            {
                progress(at.Phase, at.Percent);
            }
            else if (!string.IsNullOrWhiteSpace(line.Data))
            {
                complaint = line.Data.Trim();
            }
        };
        process.BeginErrorReadLine();

        using var kill = new Timer(_ => Signal(process, Libc.SIGKILL));
        void Stop()
        {
            Signal(process, Libc.SIGTERM);
            kill.Change(s_graceMax, Timeout.InfiniteTimeSpan);
        }

        using CancellationTokenRegistration registration = cancellation.Register(Stop);
        using var timer = new Timer(
            _ =>
            {
                Volatile.Write(ref timedOut, true);
                Stop();
            },
            null, limit, Timeout.InfiniteTimeSpan);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        return new CellEnd(process.ExitCode, output, complaint, Stopwatch.GetElapsedTime(start), Volatile.Read(ref timedOut));
    }

    /// <summary>A line as --progress has it, <c>random-walk: fill 35 %</c>; null for any other.</summary>
    internal static (string Phase, int Percent)? ParseProgress(string? line)
    {
        string[] words = (line ?? "").Split(' ');
        return words is [var label, .. var phase, var percent, "%"] && label.EndsWith(':') && phase.Length > 0
            && int.TryParse(percent, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? (string.Join(' ', phase), value)
            : null;
    }

    private static void Signal(Process process, int signal)
    {
        try
        {
            if (!process.HasExited)
            {
                _ = Libc.Kill(process.Id, signal);
            }
        }
        catch (InvalidOperationException)
        {
            // Ended and forgotten already.
        }
    }
}
