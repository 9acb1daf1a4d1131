using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench;

/// <summary>
/// The side of a benchmark that touches the memory: a process of its own, as any program of a user, for a pager must not wait for
/// its own faults. Speaks <see cref="WorkerLine"/> on standard output.
/// </summary>
internal sealed class BenchWorker : IDisposable
{
    private const int ReportMs = 100;

    private readonly TextWriter _output;
    private readonly TextReader _input;
    private readonly PhaseProgress _progress = new();
    private readonly Timer _reporter;
    private readonly SemaphoreSlim _answers = new(0);

    public BenchWorker(TextWriter output, TextReader input)
    {
        _output = TextWriter.Synchronized(output);
        _input = input;
        _reporter = new Timer(_ => Report(), null, ReportMs, ReportMs);
        new Thread(ReadAnswers) { Name = "answers", IsBackground = true }.Start();
    }

    /// <summary>Exit status: 0 verified, 1 not.</summary>
    public int Run(WorkloadOptions options, Func<long, IBenchMemory> allocate)
    {
        try
        {
            using IBenchMemory memory = allocate(options.MemoryBytes);
            Workload workload = Workload.Create(memory, options, _progress);
            Ask(new WorkerLine(WorkerLine.Ready));

            workload.Fill();
            _progress.End();
            long? resident = memory.ResidentBytes();
            Ask(new WorkerLine(WorkerLine.Measure));

            long majorFaults = MajorFaults();
            TimeSpan cpu = Environment.CpuUsage.TotalTime;
            long start = Stopwatch.GetTimestamp();
            workload.Measure();
            double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
            cpu = Environment.CpuUsage.TotalTime - cpu;
            majorFaults = MajorFaults() - majorFaults;
            _progress.End();
            Ask(new WorkerLine(WorkerLine.Measured));

            if (memory.ResidentBytes() is { } atEnd)
            {
                resident = Math.Max(resident ?? 0, atEnd);
            }

            bool verified = workload.Verify();
            _progress.End();
            Write(new WorkerLine(WorkerLine.Result)
            {
                ElapsedS = elapsed,
                CpuS = cpu.TotalSeconds,
                Accesses = workload.Accesses,
                TouchUs = LatencySummary.Of(workload.Touches),
                TouchPercentiles = LatencySummary.PercentilesOf(workload.Touches),
                MajorFaults = majorFaults,
                ResidentBytes = resident,
                RssPeakBytes = ResidentPeakBytes(),
                Verified = verified,
            });
            return verified ? 0 : 1;
        }
        catch (Exception e) when (e is SponsoredMemoryException or IOException or OutOfMemoryException)
        {
            Write(new WorkerLine(WorkerLine.Error) { Message = e.Message.ReplaceLineEndings(" ") });
            return 1;
        }
    }

    public void Dispose() => _reporter.Dispose();

    /// <summary>VmHWM of this process, bytes: the most that was ever resident.</summary>
    internal static long ResidentPeakBytes()
    {
        const string name = "VmHWM:";
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(name.Length).Trim().TrimEnd("kB").Trim(), NumberStyles.None, CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>majflt of this process's threads (proc_pid_stat(5)).</summary>
    private static long MajorFaults()
    {
        const int majorFaults = 9;
        string stat = File.ReadAllText("/proc/self/stat");

        // The name, which may have blanks, is in parentheses before the third field.
        return long.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[majorFaults], CultureInfo.InvariantCulture);
    }

    private void Report()
    {
        string phase = _progress.Phase;
        if (phase.Length > 0)
        {
            Write(new WorkerLine(phase) { Done = _progress.Done, Total = _progress.Total });
        }
    }

    private void Ask(WorkerLine line)
    {
        Write(line);
        _answers.Wait();
    }

    private void Write(WorkerLine line)
    {
        try
        {
            _output.WriteLine(JsonSerializer.Serialize(line, BenchJson.Line));
            _output.Flush();
        }
        catch (IOException)
        {
            // The parent is gone; the end of standard input says so too.
        }
    }

    private void ReadAnswers()
    {
        while (_input.ReadLine() is not null)
        {
            _answers.Release();
        }

        // The parent is gone and the pager with it. Threads may be in faults that nobody answers, so an orderly exit,
        // which waits for them, might never come.
        _ = Libc.Kill(Environment.ProcessId, Libc.SIGKILL);
    }
}
