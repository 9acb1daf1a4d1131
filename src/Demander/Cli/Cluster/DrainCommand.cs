using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>`heca drain HOST:PORT`: a sponsor is emptied while the programs that have memory on it run.</summary>
internal static class DrainCommand
{
    private const string Details =
        "The sponsor lends nothing any more, and asks for what it has lent: the demanders hold it on other sponsors, with their programs running, and free\n"
        + "it. When nothing is left the sponsor can be stopped, and nobody notices. Ends with status 0 then; with 1 where something is left after --timeout.\n"
        + "However it ends, the sponsor stays drained: `heca offer` makes it lend again.\n\n"
        + "Examples:\n"
        + "  heca drain 10.0.0.3:7400 --sponsor-key b.public --admin-key b.admin && ssh 10.0.0.3 systemctl stop heca-sponsor\n";

    private static readonly TimeSpan s_lookTime = TimeSpan.FromMilliseconds(250);

    /// <summary>How often progress is told where it is not drawn over.</summary>
    private static readonly TimeSpan s_tellTime = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        var admin = new AdminOptions();
        var timeout = new Option<string>("--timeout") { HelpName = "SECONDS", DefaultValueFactory = _ => "600", Description = "How long to wait until it is empty; 0: do not wait" };
        var command = new DetailedCommand("drain", "Empty a sponsor while the programs that have memory on it run", Details) { timeout };
        admin.AddTo(command);
        command.SetAction(parsed =>
        {
            if (!double.TryParse(parsed.GetValue(timeout), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) || seconds > int.MaxValue / 1000)
            {
                throw new CommandException($"--timeout '{parsed.GetValue(timeout)}': write seconds, 0 or more", ExitStatus.Usage);
            }

            (SponsorEndpoint sponsor, DemanderKey? own, byte[] key) = admin.Resolve(parsed);
            try
            {
                return Drain(sponsor, own, key, TimeSpan.FromSeconds(seconds), parsed.InvocationConfiguration.Output);
            }
            catch (SponsorException e)
            {
                throw new CommandException(e.Message, ExitStatus.Failed);
            }
        });
        return command;
    }

    private static int Drain(SponsorEndpoint sponsor, DemanderKey? own, byte[] key, TimeSpan timeout, TextWriter output)
    {
        using var stop = new ManualResetEventSlim();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            stop.Set();
        });
        string name = $"{sponsor.Host}:{sponsor.Port}";
        using SponsorClient client = Observer.Connect(sponsor, own);
        long atFirst = client.Offer(0, key).LentBytes, left = atFirst;
        output.WriteLine($"{name} lends no more; {new ByteSize(atFirst)} is asked back");
        long start = Stopwatch.GetTimestamp(), told = start;
        while (left > 0 && Stopwatch.GetElapsedTime(start) < timeout && !stop.Wait(s_lookTime))
        {
            left = client.Stats().LentBytes;
            if (left > 0 && Stopwatch.GetElapsedTime(told) > s_tellTime)
            {
                told = Stopwatch.GetTimestamp();
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{new ByteSize(left)} of {new ByteSize(atFirst)} is left after {Stopwatch.GetElapsedTime(start).TotalSeconds:0} s"));
            }
        }

        if (left == 0)
        {
            output.WriteLine($"{name} is empty: it can be stopped");
            return ExitStatus.Done;
        }

        StatsAnswer last = client.Stats();
        throw new CommandException(
            $"{name} still has {new ByteSize(last.LentBytes)} lent to {last.Demanders} demanders: their other sponsors have no room, or they have none", ExitStatus.Failed);
    }
}
