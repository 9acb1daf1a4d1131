namespace Hecatonchire.Pager;

/// <summary>The pager serves one program, and has one.</summary>
internal sealed class PagerBusyException : Exception;
