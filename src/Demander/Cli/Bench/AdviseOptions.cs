using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Hecatonchire.Bench.Advise;
using Hecatonchire.Cli.Run;
using Hecatonchire.Eviction;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Bench;

/// <summary>The options of `heca bench advise`: its own, and those of `heca run` that it passes on.</summary>
internal sealed class AdviseOptions
{
    public const string Usage = "usage: heca bench advise [options] -- PROGRAM [ARGS]";

    private const int RunsMax = 100;
    private const double SlowdownLimit = 1000;
    private const string NoInput = "/dev/null";

    private readonly Option<string> _budgets = new("--budgets")
    {
        HelpName = "A,B,...",
        Description = "The local budgets to measure, in percent of the program's memory",
        DefaultValueFactory = _ => AdviceBudgets.PercentsDefault,
    };

    private readonly Option<double> _slowdown = new("--slowdown")
    {
        HelpName = "X",
        Description = "How many times the time without heca is accepted: the smallest budget for that is what is looked for",
        DefaultValueFactory = _ => AdviceSettings.SlowdownDefault,
    };

    private readonly Option<double> _slowdownMax = new("--slowdown-max")
    {
        HelpName = "X",
        Description = "Try no smaller budget after one that is slower than this; a run that takes longer is ended",
        DefaultValueFactory = _ => AdviceSettings.SlowdownMaxDefault,
    };

    private readonly Option<int> _runs = new("--runs") { HelpName = "N", Description = "Runs of everything, of which medians are taken", DefaultValueFactory = _ => AdviceSettings.RunsDefault };

    private readonly Option<bool> _precise = new("--precise") { Description = "Measure two more budgets, between the smallest that is enough and the next smaller one" };

    private readonly Option<string> _input = new("--input") { HelpName = "FILE", Description = "The program's standard input in each run", DefaultValueFactory = _ => NoInput };

    private readonly Option<bool> _sameOutput = new("--same-output") { Description = "Fail where the program's standard output is not the same in all runs; otherwise a line says so" };

    private readonly Option<string?> _report = new("--report") { HelpName = "FILE", Description = "Write a report there: .html with a plot, or .md" };

    private readonly Option<string> _prefetch = new("--prefetch") { HelpName = "none|window|trend", Description = "As of heca run", DefaultValueFactory = _ => "trend" };

    private readonly Option<string> _eviction = new("--eviction") { HelpName = EvictionKinds.All, Description = "As of heca run", DefaultValueFactory = _ => EvictionKinds.Default.Name() };

    private readonly Option<string?> _captureMin = new("--capture-min") { HelpName = "SIZE", Description = "As of heca run [default: 1MiB]" };

    private readonly Option<bool> _followChildren = new("--follow-children") { Description = "As of heca run: budgets are then for each process, in percent of the largest" };

    private readonly Option<string?> _memory = new("--memory") { HelpName = "SIZE", Description = "What the embedded sponsor offers [default: twice the program's memory]" };

    private readonly TransportOption _transport = TransportOption.Create();

    private readonly SponsorOptions _sponsors = new(isEmbeddedByDefault: true);

    private readonly Argument<string[]> _program = new("PROGRAM") { Arity = ArgumentArity.ZeroOrMore, Description = "The program and its arguments, after --" };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_budgets, _slowdown, _slowdownMax, _runs, _precise, _input, _sameOutput, _report, _memory, _captureMin, _followChildren, _prefetch, _eviction, _transport])
        {
            command.Add(option);
        }

        _sponsors.AddTo(command);
        command.Add(_program);
    }

    /// <summary>The file to write a report to; null: none. Throws <see cref="CommandException"/> (usage) where that cannot be.</summary>
    public string? Report(ParseResult parsed)
    {
        string? path = parsed.GetValue(_report);
        Check(path is null || AdviceReport.IsHtml(path) is not null, $"--report: '{path}' ends neither in .html nor in .md");
        string directory = Path.GetDirectoryName(Path.GetFullPath(path ?? ".")) ?? "/";
        Check(path is null || Directory.Exists(directory), $"--report: there is no directory {directory}");
        return path;
    }

    /// <summary>Throws <see cref="CommandException"/>: usage with option, value and rule; or that there is no such program.</summary>
    public AdviseRequest Read(ParseResult parsed)
    {
        string[] program = [.. parsed.Tokens.SkipWhile(token => token.Type != TokenType.DoubleDash).Skip(1).Select(token => token.Value)];
        string[] arguments = parsed.GetValue(_program) ?? [];
        Check(arguments.Length <= program.Length, $"'{arguments.FirstOrDefault()}' is no option of heca bench advise; the program follows --; {Usage}");
        Check(program.Length > 0, $"no program to run; {Usage}");
        Check(AdviceBudgets.TryParse(parsed.GetValue(_budgets)!, out IReadOnlyList<double> percents), $"--budgets: '{parsed.GetValue(_budgets)}' is not a list of percentages, such as 100,50,25");
        double slowdown = parsed.GetValue(_slowdown), slowdownMax = parsed.GetValue(_slowdownMax);
        Check(slowdown is >= 1 and <= SlowdownLimit, string.Create(CultureInfo.InvariantCulture, $"--slowdown: {slowdown} is not from 1 to {SlowdownLimit}"));
        Check(slowdownMax >= slowdown && slowdownMax <= SlowdownLimit, string.Create(CultureInfo.InvariantCulture, $"--slowdown-max: {slowdownMax} is not from --slowdown, {slowdown}, to {SlowdownLimit}"));
        int runs = parsed.GetValue(_runs);
        Check(runs is >= 1 and <= RunsMax, $"--runs: {runs} is not from 1 to {RunsMax}");
        string? report = Report(parsed);
        return new AdviseRequest(Settings(parsed, program, percents, slowdown, slowdownMax, runs), report);
    }

    private AdviceSettings Settings(ParseResult parsed, string[] program, IReadOnlyList<double> percents, double slowdown, double slowdownMax, int runs)
    {
        _ = RunCommand.Prefetch(parsed.GetValue(_prefetch)!);
        _ = RunCommand.Eviction(parsed.GetValue(_eviction)!);
        _ = parsed.GetValue(_captureMin) is { } least ? RunCommand.CaptureMin(least) : 0;
        bool isEmbedded = _sponsors.IsEmbedded(parsed);
        string? memory = parsed.GetValue(_memory);
        Check(memory is null || isEmbedded, "--memory is what an embedded sponsor offers, and a sponsor is named");
        _ = _sponsors.Resolve(parsed);
        return new AdviceSettings
        {
            Transport = _transport.Read(parsed),
            Program = ChildProgram.Find(program[0]),
            Arguments = program[1..],
            Input = Input(parsed.GetValue(_input)!),
            Percents = percents,
            Slowdown = slowdown,
            SlowdownMax = slowdownMax,
            Runs = runs,
            Halvings = parsed.GetValue(_precise) ? AdviceSettings.PreciseHalvings : 0,
            SameOutput = parsed.GetValue(_sameOutput),
            FollowChildren = parsed.GetValue(_followChildren),
            IsEmbedded = isEmbedded,
            EmbeddedBytes = memory is null ? null : RunCommand.Memory(memory),
            RunOptions = [.. ((Option[])[_captureMin, _followChildren, _prefetch, _eviction, _transport, .. _sponsors.Options]).SelectMany(option => Given(parsed, option))],
        };
    }

    private static string Input(string path)
    {
        if (Directory.Exists(path))
        {
            throw new CommandException($"--input: {path} is a directory", ExitStatus.Usage);
        }

        try
        {
            File.OpenRead(path).Dispose();
            return Path.GetFullPath(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"--input: {path} cannot be read: {(e is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : e.Message.TrimEnd('.'))}", ExitStatus.Usage);
        }
    }

    /// <summary>An option as it was given, to give it on; nothing where it was not. That a sponsor of our own is wanted is for us alone.</summary>
    private static IEnumerable<string> Given(ParseResult parsed, Option option) =>
        option.Name == "--embedded" || parsed.GetResult(option) is not { Implicit: false } result ? []
        : result.Tokens.Count == 0 ? [option.Name]
        : result.Tokens.SelectMany(token => (string[])[option.Name, token.Value]);

    private static void Check(bool right, string message)
    {
        if (!right)
        {
            throw new CommandException(message, ExitStatus.Usage);
        }
    }
}

/// <summary>What is asked for, and the file for a report on it.</summary>
internal sealed record AdviseRequest(AdviceSettings Settings, string? Report);
