namespace Hecatonchire.Tests.Consistency;

/// <summary>The programs, or what is around them, are not as they should be.</summary>
internal sealed class SoakException(string message) : Exception(message);
