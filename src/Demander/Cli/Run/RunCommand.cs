using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Hecatonchire.Capture;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Service;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Run;

/// <summary>`heca run [options] -- PROGRAM ARGS`: the options, and what they mean.</summary>
internal sealed class RunCommand(PagerFactory startPager, EmbeddedSponsorFactory startSponsor)
{
    private const string Usage = "usage: heca run [options] -- PROGRAM [ARGS]";

    private const string Description = "Run a program with more memory than this host gives it: the rest is on a sponsor";

    private const string Details =
        "The program need not know of it: when its memory comes near --local, it is captured, and the pages that are not used lately\n"
        + "go to the sponsor. Programs that use heca.h or the C# API get what they ask for instead (--capture auto).\n\n"
        + "With --sponsor or --embedded the pager runs in this process beside the program; without, the host's serves it (`heca pager`). Signals are passed on, and the exit status is the program's: 128+n\n"
        + "when signal n ended it, 127 when there is no such program, 126 when it cannot be executed. If the pager could not go on\n"
        + "(its sponsor died, for example), the reason is printed in one line and the status is 1.\n\n"
        + "Examples:\n"
        + "  heca run --local 256MiB --sponsor 10.0.0.2:7400 --sponsor-key sponsor.public -- redis-server\n"
        + "  heca run --embedded --memory 2GiB --local 64MiB --stats -- ./heca-sample\n"
        + "  heca run --local 1:8 --prefetch window --metrics 9400 --sponsor 10.0.0.2:7400 -- ./program\n";

    private readonly Option<string> _local = new("--local")
    {
        HelpName = "SIZE|N:M",
        DefaultValueFactory = _ => "1:4",
        Description = "How much of the program's memory may be here: a size such as 256MiB, or a share of what it has",
    };

    private readonly Option<string> _capture = new("--capture")
    {
        HelpName = "auto|yes|no",
        DefaultValueFactory = _ => "auto",
        Description = "Sponsor whatever memory the program has; auto: unless it links libheca.so and asks for sponsored memory itself",
    };

    private readonly Option<string> _captureMin = new("--capture-min")
    {
        HelpName = "SIZE",
        DefaultValueFactory = _ => new ByteSize(CaptureRules.BytesMinDefault).ToString(),
        Description = "Mappings that are smaller are not captured",
    };

    private readonly Option<string[]> _captureExcept = new("--capture-except")
    {
        HelpName = "NAME",
        DefaultValueFactory = _ => [],
        Description = "Mappings that are not captured, by the name that /proc/PID/maps has for them: [heap], for example; may be repeated",
    };

    private readonly Option<bool> _followChildren = new("--follow-children")
    {
        Description = "Capture what the program starts as well, each with --local of its own; forked children of captured memory are always served",
    };

    private readonly Option<string> _prefetch = new("--prefetch")
    {
        HelpName = "none|window|trend",
        DefaultValueFactory = _ => "trend",
        Description = "What to fetch ahead of the program",
    };

    private readonly Option<string> _eviction = new("--eviction")
    {
        HelpName = EvictionKinds.All,
        DefaultValueFactory = _ => EvictionKinds.Default.Name(),
        Description = "Which pages leave first",
    };

    private readonly Option<string> _clean = new("--clean")
    {
        HelpName = "yes|no",
        DefaultValueFactory = _ => "yes",
        Description = "Write changed pages back while the program does not fault, so that they can leave at once later",
    };

    private readonly Option<string?> _pager = new("--pager")
    {
        HelpName = "PATH",
        Description = $"The socket of this host's pager, which then serves the program [default, where no sponsor is named: {ServiceDirectory.Environment}, {ServiceDirectory.Own}]",
    };

    private readonly SponsorOptions _sponsors = new();

    private readonly Option<string?> _memory = new("--memory")
    {
        HelpName = "SIZE",
        Description = "What the embedded sponsor offers [default: 1GiB]",
    };

    private readonly Option<string> _stopAfter = new("--stop-after")
    {
        HelpName = "SECONDS",
        DefaultValueFactory = _ => "30",
        Description = "Stop the program when it has been without its pager for so long; 0 never does",
    };

    private readonly WatchOptions _watch = new("Serve Prometheus metrics at /metrics there, and a status page at /; a port alone means loopback");

    private readonly TransportOption _transport = TransportOption.Create();

    private readonly Option<string> _logLevel = new("--log-level")
    {
        HelpName = "LEVEL",
        DefaultValueFactory = _ => "warning",
        Description = "trace, debug, information, warning, error, critical or none",
    };

    private readonly Option<bool> _stats = new("--stats") { Description = "Print the pager's figures on standard error at the end" };

    private readonly Option<string?> _statsJson = new("--stats-json")
    {
        HelpName = "FILE",
        Description = "Write the pager's figures to this file at the end, with the program's time and exit status: one JSON object",
    };

    private readonly Argument<string[]> _program = new("PROGRAM")
    {
        Arity = ArgumentArity.ZeroOrMore,
        Description = "The program and its arguments, after --",
    };

    public Command Create()
    {
        var command = new DetailedCommand("run", Description, Details)
        {
            _local, _capture, _captureMin, _captureExcept, _followChildren, _prefetch, _eviction, _clean, _pager, _memory, _stopAfter, _transport, _logLevel, _stats, _statsJson, _program,
        };
        foreach (Option option in _watch.Options)
        {
            command.Add(option);
        }

        _sponsors.AddTo(command);
        _sponsors.AddFindingTo(command);
        command.SetAction(parsed => RunSession.Run(Read(parsed), startPager, startSponsor));
        return command;
    }

    private RunSettings Read(ParseResult parsed)
    {
        string[] program = [.. parsed.Tokens.SkipWhile(token => token.Type != TokenType.DoubleDash).Skip(1).Select(token => token.Value)];
        string[] arguments = parsed.GetValue(_program) ?? [];
        if (arguments.Length > program.Length)
        {
            throw Bad($"'{arguments[0]}' is no option of heca run; the program follows --; {Usage}");
        }

        if (program.Length == 0)
        {
            throw Bad($"no program to run; {Usage}");
        }

        TransportPreference transport = _transport.Read(parsed);
        string? named = parsed.GetValue(_pager);
        bool embedded = _sponsors.IsEmbedded(parsed), isNamed = _sponsors.IsNamed(parsed);
        if ((embedded ? 1 : 0) + (isNamed ? 1 : 0) + (named is null ? 0 : 1) > 1)
        {
            throw Bad("--sponsor or --etcd, --embedded and --pager exclude each other");
        }

        string? service = embedded || isNamed ? null
            : named ?? ServiceDirectory.Find()
            ?? throw Bad($"no sponsor: give --sponsor HOST:PORT, or --embedded for one on this host, or start `heca pager`; {Usage}");
        if (service is not null && parsed.GetResult(_transport) is { Implicit: false })
        {
            throw Bad("--transport is chosen where the pager is started: `heca pager --transport`");
        }

        if (service is not null && _sponsors.GivenSpread(parsed) is { } spread)
        {
            throw Bad($"{spread} is chosen where the pager is started: `heca pager {spread}`");
        }

        if (!embedded && parsed.GetValue(_memory) is not null)
        {
            throw Bad("--memory is what an embedded sponsor offers: it needs --embedded");
        }

        return new RunSettings
        {
            Transport = transport,
            Service = service,
            Local = service is not null && parsed.GetResult(_local) is not { Implicit: false } ? null : Local(parsed.GetValue(_local)!),
            Capture = Enum.Parse<CaptureChoice>(OneOf("--capture", parsed.GetValue(_capture)!, ["auto", "yes", "no"]), ignoreCase: true),
            CaptureRules = new CaptureRules
            {
                BytesMin = CaptureMin(parsed.GetValue(_captureMin)!),
                Except = parsed.GetValue(_captureExcept) ?? [],
            },
            FollowChildren = parsed.GetValue(_followChildren),
            Prefetch = Prefetch(parsed.GetValue(_prefetch)!),
            Eviction = Eviction(parsed.GetValue(_eviction)!),
            Clean = OneOf("--clean", parsed.GetValue(_clean)!, ["yes", "no"]) == "yes",
            Spill = service is null ? _sponsors.ResolveSpill(parsed) : null,
            Seal = _sponsors.Seals(parsed),
            EmbeddedBytes = Memory(parsed.GetValue(_memory) ?? "1GiB"),
            StopAfter = Seconds(parsed.GetValue(_stopAfter)!),
            Watch = _watch.Read(parsed),
            LogLevel = Enum.Parse<LogLevel>(
                OneOf("--log-level", parsed.GetValue(_logLevel)!, ["trace", "debug", "information", "warning", "error", "critical", "none"]),
                ignoreCase: true),
            Stats = parsed.GetValue(_stats),
            StatsFile = parsed.GetValue(_statsJson),
            Program = program[0],
            Arguments = program[1..],
            Borrowing = service is null ? _sponsors.Resolve(parsed) : null,
        };
    }

    /// <summary>Throws <see cref="CommandException"/>.</summary>
    public static LocalBudget Local(string text) => LocalBudget.TryParse(text, out LocalBudget budget)
        ? budget
        : throw Bad($"--local '{text}': write a size of at least {new ByteSize(LocalBudget.BytesMin)}, such as 256MiB, or a share, such as 1:4");

    public static PrefetchKind Prefetch(string text) => Enum.Parse<PrefetchKind>(OneOf("--prefetch", text, ["none", "window", "trend"]), ignoreCase: true);

    public static EvictionKind Eviction(string text) => EvictionKinds.TryParse(text, out EvictionKind kind)
        ? kind
        : throw Bad($"--eviction '{text}': write one of {EvictionKinds.All}");

    public static long CaptureMin(string text) => ByteSize.TryParse(text, out ByteSize size) && size.Bytes >= PageSize.Bytes
        ? size.Bytes
        : throw Bad($"--capture-min '{text}': write a size of at least {new ByteSize(PageSize.Bytes)}, such as 1MiB");

    public static long Memory(string text) => ByteSize.TryParse(text, out ByteSize size) && size.Bytes > 0
        ? size.Bytes
        : throw Bad($"--memory '{text}': write a size, such as 2GiB");

    private static TimeSpan Seconds(string text) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds <= 86_400
            ? TimeSpan.FromSeconds(seconds)
            : throw Bad($"--stop-after '{text}': write seconds from 0 to 86400");

    private static string OneOf(string option, string text, string[] values) => values.Contains(text)
        ? text
        : throw Bad($"{option} '{text}': write {string.Join(", ", values[..^1])} or {values[^1]}");

    private static CommandException Bad(string message) => new(message, ExitStatus.Usage);
}
