using Hecatonchire.Sponsor.Cli;

return SponsorCommand.Run(args);
