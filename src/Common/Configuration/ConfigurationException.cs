namespace Hecatonchire.Configuration;

/// <summary>A configuration file cannot be used. The message is one line: <c>FILE:LINE: what is wrong, and what would be right</c>.</summary>
internal sealed class ConfigurationException(string message) : Exception(message);
