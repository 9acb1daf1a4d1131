namespace Hecatonchire.Sponsor.Cli;

/// <summary>The program was started wrongly: exit status 2. The message is one line that names option, value and rule.</summary>
internal sealed class UsageException(string message) : Exception(message);
