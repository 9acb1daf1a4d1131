using Hecatonchire.Cli;

return HecaCommandLine.Invoke(Composition.CreateCommandLine(), args);
