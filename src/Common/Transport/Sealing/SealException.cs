namespace Hecatonchire.Transport.Sealing;

/// <summary>Pages cannot be sealed here; the message says why, in one line for people.</summary>
internal sealed class SealException(string message) : Exception(message);
