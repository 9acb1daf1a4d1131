using Hecatonchire.Native;

namespace Hecatonchire;

/// <summary>An operation on sponsored memory was refused. Memory that was there before is unchanged.</summary>
public sealed class SponsoredMemoryException : Exception
{
    internal SponsoredMemoryException(string operation, int errno, string remedy, Exception? innerException = null)
        : base($"{operation} failed ({HecaErrno.Describe(errno)}): {remedy}", innerException)
    {
        Operation = operation;
        Errno = errno;
        Remedy = remedy;
    }

    /// <summary>What was attempted, as in <c>allocating sponsored memory</c>.</summary>
    public string Operation { get; }

    /// <summary>
    /// The Linux errno, positive: ENOTCONN (107) without a pager, ENOSPC (28) when the sponsor is full, ENOMEM (12) without
    /// address space, EPERM (1) without userfaultfd, EBUSY (16) while the pager serves another program, EPROTO (71) between
    /// different versions, ENOENT (2) without libheca.so.
    /// </summary>
    public int Errno { get; }

    /// <summary>What to do about it.</summary>
    public string Remedy { get; }
}
