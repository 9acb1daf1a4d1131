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

    /// <summary>A mapping of the program's that the pager has not taken over, no page: a touch makes one, without an event.</summary>
    Own,

    /// <summary>The same with a page.</summary>
    OwnPresent,

    /// <summary>Registered with another userfaultfd: the kernel fills it for any of them.</summary>
    Other,
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
