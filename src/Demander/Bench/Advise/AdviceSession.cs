using System.Globalization;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Run;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Advise;

/// <summary>One `heca bench advise`: the program alone, then under `heca run`, in a process of its own as its user starts it, with less and less memory here.</summary>
internal sealed class AdviceSession
{
    /// <summary>Starting and ending processes takes milliseconds: of less time than this they would be too much.</summary>
    private const double AloneSMin = 0.2;

    /// <summary>What is smaller is mostly in pieces that are not captured.</summary>
    private const long PeakBytesMin = 4L << 20;

    /// <summary>For a pager to start, on a busy host: no run is ended as too slow before that has passed as well.</summary>
    private const double StartSMax = 10;

    private readonly AdviceSettings _settings;
    private readonly ProgressDisplay _display;
    private readonly CancellationToken _cancellation;
    private readonly MeasuredProgram _program;

    private AdviceSession(AdviceSettings settings, ProgressDisplay display, CancellationToken cancellation)
    {
        (_settings, _display, _cancellation) = (settings, display, cancellation);
        _program = new MeasuredProgram(settings.Program, settings.Arguments, settings.Input, IsHeca: false);
    }

    /// <summary>
    /// Throws <see cref="CommandException"/> where there is nothing to compare, <see cref="OperationCanceledException"/> when interrupted; no program is left then either.
    /// </summary>
    public static Advice Run(AdviceSettings settings, ProgressDisplay display, CancellationToken cancellation)
    {
        using var pipes = new BrokenPipes();
        return new AdviceSession(settings, display, cancellation).Run();
    }

    private Advice Run()
    {
        (IReadOnlyList<AdviceRun> alone, long peakBytes) = RunAlone();
        IReadOnlyList<AdviceBudget> planned = AdviceBudgets.Of(peakBytes, _settings.Percents);
        if (planned.Count == 0)
        {
            throw Failed($"{_settings.Name} has {new ByteSize(peakBytes)} of memory of its own: --budgets are shares of that, and none of them is as much as a pager needs (1MiB)");
        }

        var search = new AdviceSearch(peakBytes, planned, _settings.Slowdown, _settings.SlowdownMax, _settings.Halvings);
        double aloneS = Advice.TimeOf(alone).Median;
        List<AdvicePoint> points = [];
        DirectoryInfo directory = Directory.CreateTempSubdirectory("heca-advise-");
        try
        {
            using EmbeddedSponsor? sponsor = _settings.IsEmbedded ? EmbeddedSponsor.Start(_settings.EmbeddedBytes ?? EmbeddedBytes(peakBytes), _settings.Transport) : null;
            while (search.Next(points) is { } budget)
            {
                points.Add(new AdvicePoint(budget, aloneS, RunWith(budget, sponsor, peakBytes, aloneS, directory.FullName)) { IsBetween = !planned.Contains(budget) });
            }
        }
        finally
        {
            directory.Delete(recursive: true);
        }

        return points.All(point => point.PagesOut == 0) && points.Any(point => point.Outcome == AdviceOutcome.Done && point.Budget.Bytes <= peakBytes / 2)
            ? throw Failed($"nothing of the {new ByteSize(peakBytes)} of {_settings.Name} went to the sponsor, even with {points.MinBy(point => point.Budget.Bytes)!.Budget.Text} here: "
                + "it is in pieces below --capture-min, or there for too short a time")
            : new Advice(_settings, search, peakBytes, alone, points);
    }

    /// <summary>The first run tells whether there is something to compare, and how much memory there is; it is not timed, for it may have read its files from the disk.</summary>
    private (IReadOnlyList<AdviceRun> Runs, long PeakBytes) RunAlone()
    {
        List<AdviceRun> runs = [];
        long peakBytes = 0;
        for (int i = 0; i <= _settings.Runs; i++)
        {
            Show("without heca", i == 0 ? "first run" : RunOf(i));
            FreeMemory.Back(peakBytes);
            ProgramEnd end = _program.Run(limit: null, process => new PeakWatch(process, _settings.FollowChildren), _cancellation);
            peakBytes = Math.Max(peakBytes, end.PeakBytes);
            if (end.Status != 0)
            {
                throw Failed($"{_settings.Name} ends with status {end.Status} without heca already{(end.LastLine is null ? "" : $" ({end.LastLine})")}");
            }

            if (end.ElapsedS < AloneSMin)
            {
                throw Failed(string.Create(
                    CultureInfo.InvariantCulture, $"{_settings.Name} takes {end.ElapsedS:0.00} s without heca: less than {AloneSMin} s cannot be compared; give it more to do"));
            }

            if (peakBytes < PeakBytesMin)
            {
                throw Failed($"{_settings.Name} has {new ByteSize(peakBytes)} of memory of its own: too little for anything to be elsewhere (at least {new ByteSize(PeakBytesMin)}"
                    + $"{(_settings.FollowChildren ? "" : "; what it starts counts with --follow-children")})");
            }

            runs.Add(new AdviceRun { Outcome = AdviceOutcome.Done, ExitStatus = end.Status, ElapsedS = Rounded(end.ElapsedS), OutputSha256 = end.OutputSha256 });
        }

        return (runs, peakBytes);
    }

    private List<AdviceRun> RunWith(AdviceBudget budget, EmbeddedSponsor? sponsor, long peakBytes, double aloneS, string directory)
    {
        string file = Path.Combine(directory, "figures.json");
        string[] lenders = sponsor is null ? [] : ["--sponsor", $"{sponsor.Endpoint.Host}:{sponsor.Endpoint.Port}", "--sponsor-key", sponsor.Endpoint.PublicKey];
        var program = new MeasuredProgram(
            WorkerProcess.OwnProgram(),
            ["run", "--local", budget.Text, "--stats-json", file, .. lenders, .. _settings.RunOptions, "--", _settings.Program, .. _settings.Arguments],
            _settings.Input,
            IsHeca: true);
        var limit = TimeSpan.FromSeconds((aloneS * _settings.SlowdownMax) + StartSMax);
        List<AdviceRun> runs = [];
        while (runs.Count < _settings.Runs)
        {
            Show($"with {budget.Text} here ({budget.Share})", RunOf(runs.Count + 1));
            FreeMemory.Back(peakBytes);
            File.Delete(file);
            ProgramEnd end = program.Run(limit, watch: null, _cancellation);
            runs.Add(Of(end, RunFigures.Read(file)));
            if (runs[^1].Outcome != AdviceOutcome.Done || runs[^1].ElapsedS > aloneS * _settings.SlowdownMax)
            {
                break;
            }
        }

        return runs;
    }

    private static AdviceRun Of(ProgramEnd end, RunFigures? figures)
    {
        if (figures is null && !end.IsStopped)
        {
            // heca itself: it has said why.
            string line = end.LastLine ?? $"heca run ended with status {end.Status}";
            const string name = "heca: ";
            throw new CommandException(
                line.StartsWith(name, StringComparison.Ordinal) ? line[name.Length..] : line, end.Status == ExitStatus.HostCannot ? ExitStatus.HostCannot : ExitStatus.Failed);
        }

        AdviceOutcome outcome = end.IsStopped ? AdviceOutcome.Stopped : end.Status != 0 ? AdviceOutcome.Failed : AdviceOutcome.Done;
        return new AdviceRun
        {
            Outcome = outcome,
            ExitStatus = end.Status,
            ElapsedS = Rounded(figures?.ElapsedS ?? end.ElapsedS),
            OutputSha256 = end.OutputSha256,
            Message = outcome == AdviceOutcome.Failed ? figures?.Figures.Failure ?? end.LastLine : null,
            Warning = end.Warning,
            Faults = figures?.Figures.Faults ?? 0,
            HardFaults = figures?.Figures.HardFaults ?? 0,
            PagesIn = figures?.Figures.PagesIn ?? 0,
            PagesOut = figures?.Figures.PagesOut ?? 0,
            ResidentPeakBytes = figures?.ResidentPeakBytes ?? 0,
        };
    }

    /// <summary>Slots of pages that are gone are free again only after a while, and a program may have more address space than it uses.</summary>
    private static long EmbeddedBytes(long peakBytes) => BenchRun.SponsorBytes(2 * peakBytes);

    private string RunOf(int number) => string.Create(CultureInfo.InvariantCulture, $"run {number} of {_settings.Runs}");

    private void Show(string how, string which) => _display.ShowLine($"{how}, {which}", $"{_settings.Name} {how}: {which}");

    private static double Rounded(double seconds) => Math.Round(seconds, 6);

    private static CommandException Failed(string message) => new(message, ExitStatus.Failed);
}
