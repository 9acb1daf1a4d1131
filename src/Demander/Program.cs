using Hecatonchire.Cli;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Cli.Check;
using Hecatonchire.Cli.Run;

return HecaCommandLine.Invoke(
    HecaCommandLine.Create(
        new RunCommand(Composition.StartPager, Composition.StartSponsor).Create(),
        BenchCommand.Create(),
        BenchWorkerCommand.Create(),
        CheckCommand.Create(),
        VersionCommand.Create()),
    args);
