namespace Hecatonchire.Transport.Spill;

/// <summary>A spill file could not be had. The message is one line for the user: what, where, why.</summary>
internal sealed class SpillException(string message) : Exception(message);
