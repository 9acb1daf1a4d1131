using System.CommandLine;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Cli.Check;
using Hecatonchire.Cli.Cluster;
using Hecatonchire.Cli.Keys;
using Hecatonchire.Cli.Run;
using Hecatonchire.Cli.Segments;
using Hecatonchire.Cli.Services;
using Hecatonchire.Cli.Status;
using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>The parts that commands are composed of.</summary>
internal static class Composition
{
    public static IMeasuredPager StartMeasured(PagerOptions options, ILoggerFactory loggers) => PagerHost.Start(options, loggers);

    public static IPagerHost StartPager(PagerOptions options, ILoggerFactory loggers) => PagerHost.Start(options, loggers);

    public static ISponsorSource StartSponsor(long bytes, TransportPreference transport) => EmbeddedSponsor.Start(bytes, transport);

    /// <summary>All of `heca`: what it runs, and what its manual and completion are made from.</summary>
    public static RootCommand CreateCommandLine() => HecaCommandLine.Create(
        new RunCommand(StartPager, StartSponsor).Create(),
        PagerCommand.Create(StartPager, StartSponsor),
        BenchCommand.Create(),
        BenchWorkerCommand.Create(),
        StatusCommand.Create(),
        TopCommand.Create(),
        SegmentCommand.Create(),
        ClusterCommand.Create(),
        DrainCommand.Create(),
        OfferCommand.Create(),
        KeyCommand.Create(),
        CheckCommand.Create(),
        VersionCommand.Create());
}
