using System.CommandLine;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Bench;

/// <summary>The options of `heca bench suite`.</summary>
internal sealed class SuiteOptions
{
    private const long SizeMax = 1L << 42;
    private const int RunsMax = 100;
    private const double CellSecondsMax = 600;

    private readonly Option<string?> _size = new("--size") { HelpName = "SIZE", Description = "The program's memory [default: 1GiB; with --quick 16MiB]" };

    private readonly Option<int?> _runs = new("--runs") { HelpName = "N", Description = "Runs of everything, of which medians are taken [default: 3; with --quick 1]" };

    private readonly Option<string?> _systems = new("--systems")
    {
        HelpName = "A,B,...",
        Description = $"[default: all that this host has: {string.Join(',', SuiteSystems.All)}]",
    };

    private readonly Option<string?> _work = new("--work") { HelpName = "A,B,...", Description = $"[default: all: {string.Join(',', SuiteWorkNames.All)}]" };

    private readonly Option<double> _cellSeconds = new("--cell-seconds")
    {
        HelpName = "SECONDS",
        Description = "What the slowest system of a row may take for its accesses, roughly; all of the row do the same. Quicksort takes what it takes",
        DefaultValueFactory = _ => SuiteSettings.CellSecondsDefault,
    };

    private readonly Option<string?> _swapDirectory = new("--swap-dir")
    {
        HelpName = "DIR",
        Description = $"Where disk-swap and zswap make their swap file: on a disk, not in memory [default: {SwapFile.DefaultDirectory}]",
    };

    private readonly Option<ulong> _seed = new("--seed") { HelpName = "N", Description = "Of data and accesses", DefaultValueFactory = _ => 1UL };

    private readonly Option<bool> _quick = new("--quick") { Description = "Few cells with little work in each: shows that everything runs, measures nothing" };

    private readonly Option<string> _directory = new("--out")
    {
        HelpName = "DIR",
        Description = "Where results.json, report.md and report.html go",
        DefaultValueFactory = _ => "bench-report",
    };

    private readonly Option<bool> _resume = new("--resume") { Description = "Continue an interrupted suite in --out, as it was started" };

    private Option[] OfMatrix => [_size, _runs, _systems, _work, _cellSeconds, _swapDirectory, _seed, _quick];

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[.. OfMatrix, _directory, _resume])
        {
            command.Add(option);
        }
    }

    public string Directory(ParseResult parsed) => parsed.GetValue(_directory)!;

    /// <summary>Whether to continue; throws <see cref="CommandException"/> (usage) if something else is asked for as well.</summary>
    public bool Resumes(ParseResult parsed)
    {
        bool resume = parsed.GetValue(_resume);
        foreach (Option option in OfMatrix)
        {
            Check(!resume || parsed.GetResult(option) is null or { Implicit: true }, $"{option.Name}: --resume continues with the settings that the suite was started with");
        }

        return resume;
    }

    /// <summary>Throws <see cref="CommandException"/> (usage) with option, value and rule.</summary>
    public SuiteSettings Read(ParseResult parsed)
    {
        bool quick = parsed.GetValue(_quick);
        string? sizeText = parsed.GetValue(_size);
        var size = new ByteSize(quick ? SuiteSettings.QuickSizeDefault : SuiteSettings.SizeDefault);
        Check(
            sizeText is null || (ByteSize.TryParse(sizeText, out size) && size.Bytes is >= SuiteSettings.SizeMin and <= SizeMax),
            $"--size: '{sizeText}' is not a size from 16MiB to 4TiB");
        int runs = parsed.GetValue(_runs) ?? (quick ? 1 : SuiteSettings.RunsDefault);
        Check(runs is >= 1 and <= RunsMax, $"--runs: {runs} is not from 1 to {RunsMax}");
        double seconds = parsed.GetValue(_cellSeconds);
        Check(seconds is > 0 and <= CellSecondsMax, FormattableString.Invariant($"--cell-seconds: {seconds} is not above 0 and at most {CellSecondsMax}"));
        return new SuiteSettings
        {
            // Whole MiB: every share of them is whole pages, and commands in the report can be given as they are.
            SizeBytes = size.Bytes >> 20 << 20,
            Runs = runs,
            Systems = parsed.GetValue(_systems) is { } systems ? Names("--systems", systems, SuiteSystems.All) : SuiteSystems.OfThisHost,
            Work = Names("--work", parsed.GetValue(_work), SuiteWorkNames.All),
            CellSeconds = seconds,
            SwapDirectory = parsed.GetValue(_swapDirectory) is { } directory ? Path.GetFullPath(directory) : null,
            Seed = parsed.GetValue(_seed),
            Scale = quick ? SuiteScale.Quick : SuiteScale.Full,
        };
    }

    private static IReadOnlyList<string> Names(string option, string? text, IReadOnlyList<string> all)
    {
        if (text is null)
        {
            return all;
        }

        string[] named = text.Split(',', StringSplitOptions.TrimEntries);
        foreach (string name in named)
        {
            Check(all.Contains(name), $"{option}: '{name}' is not one of {string.Join(',', all)}");
        }

        return [.. all.Where(named.Contains)];
    }

    private static void Check(bool right, string message)
    {
        if (!right)
        {
            throw new CommandException(message, ExitStatus.Usage);
        }
    }
}
