using System.Globalization;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Report.Plots;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Host;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Advise;

/// <summary>What was found out, as a document: HTML with a plot, or Markdown.</summary>
internal static class AdviceReport
{
    /// <summary>By the end of its name; null for any other.</summary>
    public static bool? IsHtml(string path) => Path.GetExtension(path) switch
    {
        ".html" or ".htm" => true,
        ".md" => false,
        _ => null,
    };

    /// <summary>Throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>.</summary>
    public static void Write(string path, Advice advice, string command, DateTimeOffset started)
    {
        bool isHtml = IsHtml(path) == true;
        ReportDocument document = Of(advice, command, started, isHtml);
        using StreamWriter output = File.CreateText(path);
        if (isHtml)
        {
            HtmlReport.Write(output, document);
        }
        else
        {
            MarkdownReport.Write(output, document);
        }
    }

    internal static ReportDocument Of(Advice advice, string command, DateTimeOffset started, bool isHtml)
    {
        HostMachine machine = HostMachine.Read(new HostFiles());
        string?[] found = [$"**{advice.Answer}.**", advice.Command is { } wanted ? Code(wanted) : null, advice.Failure, advice.OutputNote, advice.Warning];
        return new ReportDocument(
            $"{advice.Settings.Name}: how much local memory is enough",
            [
                new ReportSection("") { Paragraphs = [.. found.OfType<string>()] },
                new ReportSection("Slowdown against local memory")
                {
                    Paragraphs = isHtml ? [] : [$"```\n{string.Join('\n', AdviceTables.Curve(advice))}\n```"],
                    Plots = Plot(advice) is { } plot ? [plot] : [],
                    Tables = [AdviceTables.Table(advice)],
                },
                new ReportSection("How it was measured")
                {
                    Paragraphs =
                    [
                        string.Create(CultureInfo.InvariantCulture, $"{(advice.Settings.Runs == 1 ? "One run" : $"{advice.Settings.Runs} runs")} of each, one after the other, first without heca. ")
                            + "Local memory is a bound for the anonymous memory of the program; all is what it has at its peak without heca. Times are those of the program: what `heca run` takes before it starts it is not in them.",
                    ],
                    Tables =
                    [
                        new ReportTable("", ["", ""],
                        [
                            ["program", Code(advice.ProgramText)],
                            ["sponsor", advice.Settings.IsEmbedded ? "on this host, which the program and the pager share with it" : "as in the command"],
                            ["CPU", string.Create(CultureInfo.InvariantCulture, $"{machine.Cpu}, {machine.Cpus} CPUs")],
                            ["memory", new ByteSize(machine.MemoryBytes).ToString()],
                            ["virtualised", machine.Virtualised is { } by ? $"yes ({by})" : "no"],
                            ["kernel", machine.Kernel],
                            ["heca", BuildIdentity.Read()],
                            ["date", started.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)],
                            ["command", Code(command)],
                        ], AreFigures: false),
                    ],
                },
            ]);
    }

    /// <summary>On one line, which is all that a cell of a table has.</summary>
    private static string Code(string command) => $"`{command.ReplaceLineEndings(" ")}`";

    /// <summary>Null where no run ended as it should.</summary>
    internal static Plot? Plot(Advice advice)
    {
        PlotPoint[] points =
        [
            .. from point in advice.BySize.Reverse()
               where point.Outcome == AdviceOutcome.Done
               select new PlotPoint(point.Budget.Percent, point.Slowdown!.Value, point.SlowdownMin!.Value, point.SlowdownMax!.Value, string.Create(
                   CultureInfo.InvariantCulture,
                   $"{point.Budget.Text} here ({point.Budget.Share}): {point.Slowdown:0.00} times ({point.SlowdownMin:0.00} to {point.SlowdownMax:0.00})")),
        ];
        double limit = advice.Settings.Slowdown;
        double most = points.Length == 0 ? 0 : Math.Max(100, points.Max(point => point.X));
        string accepted = string.Create(CultureInfo.InvariantCulture, $"{limit:0.00} accepted");
        return points.Length == 0 ? null : new Plot(
            $"{advice.Settings.Name}: slowdown against local memory",
            PlotAxis.Linear(string.Create(CultureInfo.InvariantCulture, $"local memory, % of {new ByteSize(advice.PeakBytes)}"), most),
            PlotAxis.Linear("times the time without heca", Math.Max(limit, points.Max(point => point.High)), Math.Min(1, Math.Floor(points.Min(point => point.Low) * 10) / 10)),
            [
                new PlotSeries(SuiteSystems.Local, accepted, [new PlotPoint(0, limit, limit, limit, accepted), new PlotPoint(most, limit, limit, limit, accepted)]),
                new PlotSeries(SuiteSystems.Heca, "heca", points),
            ]);
    }
}
