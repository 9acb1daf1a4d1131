namespace Hecatonchire.Sponsor.Cli;

/// <summary>This host lacks what was asked for: exit status 3. The message is one line with the remedy.</summary>
internal sealed class HostCannotException(string message) : Exception(message);
