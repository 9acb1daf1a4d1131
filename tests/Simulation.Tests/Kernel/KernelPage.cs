namespace Hecatonchire.Tests.Kernel;

/// <summary>What the simulated kernel has at an address.</summary>
internal enum KernelPage : byte
{
    /// <summary>Not a part of any segment: a touch is SIGSEGV.</summary>
    Unmapped,

    /// <summary>Registered, no page: a touch is a fault event.</summary>
    Missing,

    /// <summary>The shared zero page.</summary>
    Zero,

    Present,

    /// <summary>A touch is SIGBUS.</summary>
    Poisoned,

    /// <summary>A page of a mapping that is not the pager's.</summary>
    Foreign,
}

/// <summary>How an access of a simulated thread ended.</summary>
internal enum Touch : byte
{
    Done,

    /// <summary>The thread is stopped in a fault.</summary>
    Stopped,

    /// <summary>SIGBUS.</summary>
    Bus,

    /// <summary>SIGSEGV.</summary>
    Segv,
}

/// <summary>Thrown by a checker: the pager broke a rule.</summary>
internal sealed class SimulationException(string message) : Exception(message);
