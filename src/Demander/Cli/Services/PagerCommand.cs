using System.CommandLine;
using System.Runtime.InteropServices;
using Hecatonchire.Cli.Run;
using Hecatonchire.Hosting;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Service;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Services;

/// <summary>`heca pager`: serves the programs that `heca run` starts on this host.</summary>
internal static class PagerCommand
{
    private const string Description = "Serve the programs of this host: `heca run` uses it where it is there";

    private const string Details =
        "Each program has its own --local, its own demander at the sponsor and its own figures, and its memory cgroup is kept. Root's pager serves\n"
        + "root's programs and those of whom --allow names; another user's serves that user's.\n\n"
        + "The first SIGTERM or SIGINT ends it when the programs that it serves have ended, and lets no more come; the second ends it at once:\n"
        + "what a program has on the sponsor is then out of its reach, and after --stop-after of its `heca run` it is stopped.\n\n"
        + "In a --config FILE each option is a line, `name = value`, a switch is true or false, and # begins a comment. What the command line has takes the place of all lines\n"
        + "of its name.\n\n"
        + "Examples:\n"
        + "  heca pager --sponsor 10.0.0.2:7400 --sponsor-key sponsor.public --allow @users\n"
        + "  heca run --local 256MiB -- redis-server\n";

    /// <summary>How often it looks whether the last program has ended.</summary>
    private static readonly TimeSpan DrainPollTime = TimeSpan.FromMilliseconds(100);

    /// <summary>Values that options without a default could have, by name: for the configuration file that comes with the packages.</summary>
    public static readonly IReadOnlyDictionary<string, string> Examples = new Dictionary<string, string>
    {
        ["--socket"] = ServiceDirectory.HostSocket,
        ["--allow"] = "@users",
        ["--sponsor"] = "10.0.0.2:7400",
        ["--sponsor-key"] = "/var/lib/heca/sponsor.public",
        ["--key"] = "/etc/heca/demander.secret",
        ["--spill"] = "/var/tmp",
        ["--spill-max"] = "16GiB",
        ["--etcd"] = "http://10.0.0.9:2379",
        ["--cluster"] = "0123456789abcdef0123456789abcdef",
        ["--metrics"] = "127.0.0.1:9401",
        ["--otlp"] = "http://10.0.0.9:4318",
    };

    public static Command Create(PagerFactory startPager, EmbeddedSponsorFactory startSponsor)
    {
        var socket = new Option<string?>("--socket") { HelpName = "PATH", Description = $"Where to listen [default: {ServiceDirectory.HostSocket}, or for another user than root pager/socket beside its status sockets]" };
        var local = new Option<string>("--local")
        {
            HelpName = "SIZE|N:M",
            DefaultValueFactory = _ => "1:4",
            Description = "How much of a program's memory may be here where its `heca run` does not say",
        };
        var allow = new Option<string[]>("--allow")
        {
            HelpName = "USER|@GROUP",
            DefaultValueFactory = _ => [],
            Description = "Serve this user's programs too, by name or number, or a group's, or `all`; may be repeated",
        };
        var takeover = new Option<bool>("--takeover") { Description = "Where a pager listens already, end it and go on with its programs: an upgrade in place" };
        var sponsor = new SponsorOptions();
        var memory = new Option<string?>("--memory") { HelpName = "SIZE", Description = "What the embedded sponsor offers [default: 1GiB]" };
        TransportOption transport = TransportOption.Create();
        var watch = new WatchOptions("Serve Prometheus metrics at /metrics there, of all programs in one, and a status page at /; a port alone means loopback");
        var logLevel = new Option<LogLevel>("--log-level") { HelpName = "LEVEL", DefaultValueFactory = _ => LogLevel.Information, Description = "trace, debug, information, warning, error, critical or none" };
        var command = new DetailedCommand("pager", Description, Details) { socket, local, allow, takeover };
        sponsor.AddTo(command);
        sponsor.AddFindingTo(command);
        foreach (Option option in (Option[])[memory, transport, .. watch.Options, logLevel])
        {
            command.Add(option);
        }

        ConfigurationOption configuration = ConfigurationOption.Create();
        command.Add(configuration);
        command.SetAction(configuration.Under(parsed =>
        {
            var users = new ServiceUsers();
            foreach (string name in parsed.GetValue(allow) ?? [])
            {
                if (!users.TryAdd(name))
                {
                    throw new CommandException($"--allow '{name}': no such {(name.StartsWith('@') ? "group" : "user")} on this host", ExitStatus.Usage);
                }
            }

            long bytes = ByteSize.TryParse(parsed.GetValue(memory) ?? "1GiB", out ByteSize size) && size.Bytes > 0
                ? size.Bytes
                : throw new CommandException($"--memory '{parsed.GetValue(memory)}': write a size, such as 2GiB", ExitStatus.Usage);
            Borrowing? borrowing = sponsor.Resolve(parsed);
            if (borrowing is not null && parsed.GetValue(memory) is not null)
            {
                throw new CommandException("--memory is what an embedded sponsor offers: it needs --embedded", ExitStatus.Usage);
            }

            WatchSettings watching = watch.Read(parsed);
            LocalBudget bound = RunCommand.Local(parsed.GetValue(local)!);
            if (Host.HostRequirements.FirstMissing() is { } missing)
            {
                throw new CommandException(missing, ExitStatus.HostCannot);
            }

            using var manager = new ServiceManager();
            using ILoggerFactory loggers = ConsoleLogging.Create(parsed.GetValue(logLevel), watching.LogFormat, watching.Events);
            using ISponsorSource source = borrowing is null ? startSponsor(bytes, transport.Read(parsed)) : RemoteSponsors.Open(borrowing, loggers);
            var options = new ServiceOptions
            {
                SocketPath = parsed.GetValue(socket) ?? ServiceDirectory.Own,
                Borrowing = source.Borrowing with { Spill = sponsor.ResolveSpill(parsed), Seal = sponsor.Seals(parsed) },
                Local = bound,
                Transport = transport.Read(parsed),
                Users = users,
                TakesOver = parsed.GetValue(takeover),
            };
            return Serve(options, watching, loggers, startPager, manager, parsed.InvocationConfiguration.Output);
        }));
        return command;
    }

    /// <summary>
    /// Throws <see cref="PagerStartException"/> where a sponsor cannot be had; with programs that wait for this pager, where none can: they may have all they need on the others.
    /// </summary>
    private static void CheckSponsors(ServiceOptions options, ILogger logger)
    {
        bool mayLack = options.Borrowing.Sponsors.Count > 1 && ServiceDirectory.HasLeft(options.SocketPath);
        int lacking = 0;
        if (options.Borrowing.All.Count == 0)
        {
            throw new PagerStartException("no sponsor is registered in etcd: start heca-sponsor with --etcd, or name one with --sponsor", 1);
        }

        foreach (SponsorEndpoint sponsor in options.Borrowing.Sponsors)
        {
            if (mayLack && !PagerHost.IsListening(sponsor) && ++lacking < options.Borrowing.Sponsors.Count)
            {
                PagerLog.SponsorNotHere(logger, sponsor.Host, sponsor.Port, "nothing listens there");
                continue;
            }

            PagerHost.ConnectTo(sponsor, key: options.Borrowing.Key).Dispose();
        }
    }

    private static int Serve(ServiceOptions options, WatchSettings watching, ILoggerFactory loggers, PagerFactory startPager, ServiceManager manager, TextWriter output)
    {
        using var asked = new SemaphoreSlim(0);
        void Ask(PosixSignalContext context)
        {
            context.Cancel = true;
            _ = asked.Release();
        }

        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask), interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);

        // Compiled now, what programs wait for; and a sponsor that cannot be had is told now: not to the first program.
        Preparation.Begin();
        PagerHost.TrySpill(options.Borrowing.Spill);
        PagerHost.TrySeal(options.Borrowing.Seal, Path.GetDirectoryName(Path.GetFullPath(options.SocketPath)));
        CheckSponsors(options, loggers.CreateLogger("heca.pager"));
        using var service = new PagerService(options, startPager, loggers);
        using PagerWatch watch = PagerWatch.Start(
            "heca pager", watching, new PagerInstruments(service.Snapshot, service.CopyLatencies), () => service.Served, options.Borrowing, loggers);
        Preparation.Wait();
        output.WriteLine($"pager ready on {options.SocketPath}, sponsor {options.Borrowing.Names}{(watch.EndPoint is null ? "" : $", metrics on http://{watch.EndPoint}/metrics")}");
        output.Flush();
        manager.NoteReady($"sponsor {options.Borrowing.Names}", service.AwaitProgress);
        asked.Wait();
        service.Drain();
        manager.NoteStopping($"ends with the last of {service.Count} programs");
        if (service.Count > 0)
        {
            output.WriteLine($"pager ends with the last of {service.Count} programs; a second signal ends it now");
            output.Flush();
        }

        while (service.Count > 0 && !asked.Wait(DrainPollTime))
        {
        }

        return ExitStatus.Done;
    }
}
