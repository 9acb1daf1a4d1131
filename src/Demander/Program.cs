using Hecatonchire.Cli;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Cli.Check;
using Hecatonchire.Cli.Cluster;
using Hecatonchire.Cli.Keys;
using Hecatonchire.Cli.Run;
using Hecatonchire.Cli.Segments;
using Hecatonchire.Cli.Services;
using Hecatonchire.Cli.Status;

return HecaCommandLine.Invoke(
    HecaCommandLine.Create(
        new RunCommand(Composition.StartPager, Composition.StartSponsor).Create(),
        PagerCommand.Create(Composition.StartPager, Composition.StartSponsor),
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
        VersionCommand.Create()),
    args);
