using System.Diagnostics;
using System.Net;
using Hecatonchire.Eviction;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Service;
using Hecatonchire.Status;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Run;

/// <summary>One `heca run`: sponsor, pager and program come in this order and go in the opposite one, however it ends.</summary>
internal static partial class RunSession
{
    private static readonly TimeSpan ForkedPollTime = TimeSpan.FromMilliseconds(20);

    /// <summary>Returns the exit status. Throws <see cref="CommandException"/>, <see cref="PagerStartException"/>, <see cref="IOException"/>.</summary>
    public static int Run(RunSettings settings, PagerFactory startPager, EmbeddedSponsorFactory startSponsor)
    {
        // What needs no pager is told before one is started.
        string program = ChildProgram.Find(settings.Program);
        bool captures = Captures(program, settings.Capture);
        if (MissingFor(captures, settings.Service is not null) is { } missing)
        {
            throw new CommandException(missing, ExitStatus.HostCannot);
        }

        using ILoggerFactory loggers = ConsoleLogging.Create(settings.LogLevel, settings.Watch.LogFormat, settings.Watch.Events);
        ILogger log = loggers.CreateLogger("heca.run");

        // A file that cannot be written is told before the program has run for hours.
        using FileStream? figures = settings.StatsFile is null ? null : RunFigures.Create(settings.StatsFile);

        // From here on a signal must not end this process before it has cleaned up.
        using var signals = new SignalForwarder();
        using ISponsorSource? sponsor = settings.Service is not null ? null
            : settings.Borrowing is { } borrowing ? RemoteSponsors.Open(borrowing, loggers) : startSponsor(settings.EmbeddedBytes, settings.Transport);
        using SocketDirectory? directory = sponsor is null ? null : new SocketDirectory();
        using IPagerHost pager = sponsor is null ? OpenAtService(settings) : startPager(OptionsFor(settings, sponsor.Borrowing with { Spill = settings.Spill, Seal = settings.Seal }, directory!.SocketPath), loggers);
        OpenedPager? opened = (pager as RemotePager)?.Opened;
        var subject = new StatusSubject
        {
            Command = program,
            Local = opened?.Local ?? settings.Local.ToString()!,
            IsCaptured = captures,
            Sponsor = opened?.Sponsor ?? sponsor!.Borrowing.Names,
        };
        using PagerWatch watch = PagerWatch.Start("heca run", settings.Watch, new PagerInstruments(pager), () => [new ServedProgram(pager, subject)], sponsor?.Borrowing, loggers);
        if (watch.EndPoint is { } endPoint)
        {
            ServingMetrics(log, endPoint);
        }

        using StatusServer? answers = StatusServer.TryStart(pager, subject, out string problem);
        if (answers is null)
        {
            NotAnswering(log, problem);
        }

        using SegmentServer? segments = SegmentServer.TryStart(pager, out _);
        (int status, TimeSpan elapsed) = RunProgram(program, settings, subject, pager, signals, log);
        if (settings.Stats)
        {
            HecaCommandLine.Say(() => RunSummary.Write(Console.Error, pager));
        }

        if (figures is not null)
        {
            RunFigures.Of(pager, subject, elapsed, status).Write(figures);
        }

        // A program that lost its memory ends in its own way, by SIGBUS as a rule: the reason is what its user needs.
        return pager.Failure is { } failure ? HecaCommandLine.Fail(ExitStatus.Failed, failure) : status;
    }

    private static string? MissingFor(bool captures, bool isServed) =>
        isServed ? HostRequirements.FirstMissingForServed(captures)
        : captures ? HostRequirements.FirstMissingForCapture()
        : HostRequirements.FirstMissing();

    private static PagerOptions OptionsFor(RunSettings settings, Borrowing borrowing, string socketPath) => new()
    {
        Local = settings.Local!.Value,
        Prefetch = settings.Prefetch,
        Eviction = settings.Eviction,
        Clean = settings.Clean,
        Transport = settings.Transport,
        Borrowing = borrowing,
        Capture = settings.CaptureRules,
        SocketPath = socketPath,
        Owner = Libc.EffectiveUser(),
        Starter = Environment.ProcessId,
        ManyPrograms = settings.FollowChildren,
        StopProgramAfter = settings.StopAfter,
    };

    private static RemotePager OpenAtService(RunSettings settings) => RemotePager.Open(settings.Service!, new OpenRequest
    {
        Local = settings.Local?.ToString(),
        Prefetch = settings.Prefetch.ToString(),
        Eviction = settings.Eviction.Name(),
        Clean = settings.Clean,
        CaptureBytesMin = settings.CaptureRules.BytesMin,
        CaptureExcept = settings.CaptureRules.Except,
        ManyPrograms = settings.FollowChildren,
        StopAfterSeconds = settings.StopAfter.TotalSeconds,
    });

    /// <summary>Throws <see cref="CommandException"/> where the program or the host does not allow what was asked for.</summary>
    internal static bool Captures(string program, CaptureChoice choice)
    {
        ProgramKind kind = choice == CaptureChoice.No ? ProgramKind.UsesHeca : ProgramFile.Inspect(program);
        if (kind == ProgramKind.UsesHeca && choice != CaptureChoice.Yes)
        {
            return false;
        }

        if (kind is ProgramKind.Static or ProgramKind.Foreign)
        {
            string why = kind == ProgramKind.Static ? "it is statically linked" : "it is for another kind of machine";
            throw new CommandException(
                $"the memory of {program} cannot be captured: {why}, so that {ChildProgram.Library} cannot be preloaded; with --capture no it runs without", ExitStatus.HostCannot);
        }

        return true;
    }

    private static (int Status, TimeSpan Elapsed) RunProgram(string program, RunSettings settings, StatusSubject subject, IPagerHost pager, SignalForwarder signals, ILogger log)
    {
        long started = Stopwatch.GetTimestamp();
        using ChildProgram child = ChildProgram.Start(program, settings.Arguments, pager.SocketPath, subject.IsCaptured, settings.FollowChildren);
        subject.Program = child.ProcessId;
        Started(log, child.ProcessId, program);
        signals.ForwardTo(child);
        int status = child.WaitForExit();
        TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
        Ended(log, child.ProcessId, status);
        WaitForForked(child.ProcessId, pager, signals, log);

        // A ^C or a closed terminal reaches both of us, and handlers run late: the program may be gone by then.
        signals.Stop();
        return (status, elapsed);
    }

    /// <summary>A program that has become a daemon, or left another child behind, still has memory that is not here.</summary>
    private static void WaitForForked(int program, IPagerHost pager, SignalForwarder signals, ILogger log)
    {
        bool isTold = false;
        for (IReadOnlyList<int> left = pager.Programs; left.Any(process => process != program || Directory.Exists($"/proc/{process}")); left = pager.Programs)
        {
            signals.ForwardTo(left);
            if (!isTold && left.All(process => process != program))
            {
                isTold = true;
                StillRunning(log, left.Count);
            }

            Thread.Sleep(ForkedPollTime);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Metrics are served on http://{EndPoint}/metrics, and a status page on http://{EndPoint}/")]
    private static partial void ServingMetrics(ILogger log, IPEndPoint endPoint);

    [LoggerMessage(Level = LogLevel.Information, Message = "`heca status` will not see this program: {Problem}")]
    private static partial void NotAnswering(ILogger log, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "Program {Process} started: {Program}")]
    private static partial void Started(ILogger log, int process, string program);

    [LoggerMessage(Level = LogLevel.Information, Message = "Forked children that have memory on the sponsor still run: {Count}; heca waits for them")]
    private static partial void StillRunning(ILogger log, int count);

    [LoggerMessage(Level = LogLevel.Information, Message = "Program {Process} ended with status {Status}")]
    private static partial void Ended(ILogger log, int process, int status);

    /// <summary>A directory where only this user writes. A program of root's may go on as another user, and its children are to reach the socket then: who has connected decides.</summary>
    private sealed class SocketDirectory : IDisposable
    {
        private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("heca-");

        public SocketDirectory()
        {
            if (Libc.EffectiveUser() == 0)
            {
                _directory.UnixFileMode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
            }
        }

        public string SocketPath => Path.Combine(_directory.FullName, "pager");

        public void Dispose() => _directory.Delete(recursive: true);
    }
}
