using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Status;
using Spectre.Console;

namespace Hecatonchire.Cli.Status;

/// <summary>`heca top`: what `heca status` shows, over and over, with rates.</summary>
internal static class TopCommand
{
    private const string Details =
        "Ends with q or ^C, or after --count looks. On a terminal the table stays in its place; elsewhere each look is printed below the last.\n";

    public static Command Create()
    {
        var interval = new Option<string>("--interval") { HelpName = "SECONDS", DefaultValueFactory = _ => "1", Description = "How often to look" };
        var count = new Option<int>("--count") { HelpName = "N", DefaultValueFactory = _ => 0, Description = "Stop after so many looks; 0 goes on" };
        var command = new DetailedCommand("top", "Watch the programs that run with sponsored memory", Details) { interval, count };
        command.SetAction(parsed =>
        {
            string text = parsed.GetValue(interval)!;
            if (!double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) || seconds is < 0.1 or > 3600)
            {
                throw new CommandException($"--interval '{text}': write seconds from 0.1 to 3600", ExitStatus.Usage);
            }

            if (parsed.GetValue(count) < 0)
            {
                throw new CommandException($"--count '{parsed.GetValue(count)}': write 0 or more", ExitStatus.Usage);
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            bool isTerminal = ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;
            using var stop = new ManualResetEventSlim();
            Console.CancelKeyPress += (_, pressed) =>
            {
                pressed.Cancel = true;
                stop.Set();
            };
            Watch(output, isTerminal, TimeSpan.FromSeconds(seconds), parsed.GetValue(count), stop);
            return ExitStatus.Done;
        });
        return command;
    }

    private static void Watch(TextWriter output, bool isTerminal, TimeSpan interval, int count, ManualResetEventSlim stop)
    {
        if (!isTerminal)
        {
            Look((reports, before, seconds) =>
            {
                StatusTable.WritePlain(output, reports, before, seconds);
                output.WriteLine();
            });
            return;
        }

        TextConsole.Create(output).Live(new Text("")).Start(display => Look((reports, before, seconds) =>
        {
            display.UpdateTarget(reports.Count == 0 ? new Text("no program runs under `heca run`; q ends") : StatusTable.Create(reports, before, seconds));
            display.Refresh();
        }));

        void Look(Action<List<StatusReport>, Dictionary<int, StatusReport>, double> show)
        {
            var before = new Dictionary<int, StatusReport>();
            long lookedAt = Stopwatch.GetTimestamp();
            for (int looks = 1; !stop.IsSet; looks++)
            {
                List<StatusReport> reports = StatusDirectory.Ask();
                double seconds = Stopwatch.GetElapsedTime(lookedAt).TotalSeconds;
                lookedAt = Stopwatch.GetTimestamp();
                show(reports, before, seconds);
                before = reports.ToDictionary(report => report.Pager);
                if (looks == count || WaitOrQuit(interval, isTerminal, stop))
                {
                    return;
                }
            }
        }
    }

    /// <summary>True when the user wants no more.</summary>
    private static bool WaitOrQuit(TimeSpan interval, bool isTerminal, ManualResetEventSlim stop)
    {
        bool readsKeys = isTerminal && !Console.IsInputRedirected;
        var part = TimeSpan.FromMilliseconds(100);
        for (TimeSpan left = interval; left > TimeSpan.Zero; left -= part)
        {
            if (stop.Wait(left < part ? left : part))
            {
                return true;
            }

            while (readsKeys && Console.KeyAvailable)
            {
                if (Console.ReadKey(intercept: true).KeyChar is 'q' or 'Q')
                {
                    return true;
                }
            }
        }

        return false;
    }
}
