namespace Hecatonchire.Interop;

/// <summary>errno values of Linux (the same on x86-64 and arm64).</summary>
internal static class Errno
{
    public const int EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, EBADF = 9, EAGAIN = 11,
        ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, EFBIG = 27, ENOSPC = 28,
        EPIPE = 32, ENOSYS = 38, ENOTEMPTY = 39, EPROTO = 71, EMSGSIZE = 90, EOPNOTSUPP = 95, ENOBUFS = 105, ENOTCONN = 107, ETIMEDOUT = 110, EHOSTUNREACH = 113, EADDRINUSE = 98, EADDRNOTAVAIL = 99,
        ECONNREFUSED = 111, ECONNRESET = 104, EINPROGRESS = 115, EDQUOT = 122;

    /// <summary>What a failed call means to the one that made it: the one table for all planes.</summary>
    public static ErrnoClass Classify(int errno) => errno switch
    {
        EINTR or EAGAIN or EBUSY or ENOBUFS => ErrnoClass.Retry,
        EEXIST => ErrnoClass.AlreadyDone,
        ESRCH or EPIPE or ECONNRESET or ENOTCONN or ECONNREFUSED or ETIMEDOUT => ErrnoClass.PeerGone,
        _ => ErrnoClass.Fatal,
    };

    /// <summary>The symbol and the text of an errno, for messages to people: <c>ENOENT (No such file or directory)</c>.</summary>
    public static string Describe(int errno) =>
        $"errno {errno} ({System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno)})";
}

/// <summary>The four meanings an errno can have to a caller.</summary>
internal enum ErrnoClass
{
    Retry,
    AlreadyDone,
    PeerGone,
    Fatal,
}
