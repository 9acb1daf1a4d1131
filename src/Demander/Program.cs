using Hecatonchire.Cli;
using Hecatonchire.Cli.Check;
using Hecatonchire.Cli.Run;

return HecaCommandLine.Invoke(
    HecaCommandLine.Create(
        new RunCommand(Composition.StartPager, Composition.StartSponsor).Create(),
        CheckCommand.Create()),
    args);
