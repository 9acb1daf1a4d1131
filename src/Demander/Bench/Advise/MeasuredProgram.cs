using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Hecatonchire.Cli;

namespace Hecatonchire.Bench.Advise;

/// <summary>How a program ended, and what it took.</summary>
/// <param name="Status">128 + n for a signal n.</param>
/// <param name="OutputSha256">Of its standard output, in hexadecimal digits.</param>
/// <param name="LastLine">On standard error, the last that is not empty; null without one.</param>
/// <param name="Warning">Of `heca run`, the first that its log had there, without time and source; null without one.</param>
/// <param name="PeakBytes">Of its anonymous memory; 0 where nobody has looked.</param>
/// <param name="IsStopped">It was made to end, for it took too long.</param>
internal sealed record ProgramEnd(int Status, double ElapsedS, string OutputSha256, string? LastLine, string? Warning, long PeakBytes, bool IsStopped);

/// <summary>A program to run to its end, again and again, with the same standard input.</summary>
/// <param name="Path">To execute.</param>
/// <param name="Input">The file that is its standard input.</param>
/// <param name="IsHeca">It is `heca run` with a program.</param>
internal sealed partial record MeasuredProgram(string Path, IReadOnlyList<string> Arguments, string Input, bool IsHeca)
{
    /// <summary>.NET gives a child a pipe, or what we have ourselves: a shell opens the file, and becomes the program.</summary>
    private const string Shell = "/bin/sh", Script = "exec <\"$0\" \"$@\"";

    private const int LineMax = 300;

    /// <summary>Between telling a program to end and making it; and for what it has left behind to close its output as well.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Throws <see cref="OperationCanceledException"/> when interrupted, after the program has ended; <see cref="CommandException"/> where it leaves something behind that goes on.
    /// </summary>
    /// <param name="limit">When to end it; null: never.</param>
    /// <param name="watch">Looks at its memory, given its process id; null: nobody does.</param>
    /// <param name="cancellation">Ends it.</param>
    public ProgramEnd Run(TimeSpan? limit, Func<int, PeakWatch>? watch, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var start = new ProcessStartInfo(Shell, ["-c", Script, Input, Path, .. Arguments])
        {
            // Standard input as well: a child that has none of the terminal does not make the runtime set that up anew.
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        long began = Stopwatch.GetTimestamp();
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        using PeakWatch? peak = watch?.Invoke(process.Id);
        Task<string> output = Task.Run(() => Convert.ToHexStringLower(SHA256.HashData(process.StandardOutput.BaseStream)), CancellationToken.None);
        Task<(string? LastLine, string? Warning)> error = Task.Run(() => Read(process.StandardError), CancellationToken.None);
        using var stop = new ProgramStop(process, IsHeca, Grace);
        bool isStopped = false;
        using (cancellation.Register(stop.Begin))
        using (var timer = new Timer(_ =>
        {
            Volatile.Write(ref isStopped, true);
            stop.Begin();
        }, null, limit ?? Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan))
        {
            process.WaitForExit();
        }

        double elapsed = Stopwatch.GetElapsedTime(began).TotalSeconds;
        stop.Finish();
        long peakBytes = peak?.End() ?? 0;
        bool isClosed = Task.WaitAll([output, error], Grace);
        cancellation.ThrowIfCancellationRequested();
        return isClosed
            ? new ProgramEnd(process.ExitCode, elapsed, output.Result, error.Result.LastLine, IsHeca ? error.Result.Warning : null, peakBytes, Volatile.Read(ref isStopped))
            : throw new CommandException($"{System.IO.Path.GetFileName(Path)} leaves something behind that goes on (it holds its output open): what is measured has to end with it", ExitStatus.Failed);
    }

    private static (string? LastLine, string? Warning) Read(StreamReader error)
    {
        string? last = null, warning = null;
        while (error.ReadLine() is { } line)
        {
            last = string.IsNullOrWhiteSpace(line) ? last : line.Trim();
            warning ??= LogLine().Match(line) is { Success: true } match ? match.Groups[1].Value : null;
        }

        return (Cut(last), Cut(warning));
    }

    private static string? Cut(string? line) => line?.Length > LineMax ? line[..LineMax] : line;

    /// <summary>As our log has it, warnings and worse.</summary>
    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT[\d:.]+Z (?:warn|fail|crit): (?:heca|Hecatonchire)\.[\w.]+\[\d+\] (.+)$")]
    private static partial Regex LogLine();
}
