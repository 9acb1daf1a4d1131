using System.Runtime.InteropServices;

namespace Hecatonchire.Native;

/// <summary>The errno values that heca.h documents, and what each asks of the user.</summary>
internal static class HecaErrno
{
    public const int EPERM = 1, ENOENT = 2, ENOMEM = 12, EBUSY = 16, EINVAL = 22, ENOSPC = 28, EPROTO = 71, ENOTCONN = 107;

    /// <summary>Throws if <paramref name="status"/>, the result of a libheca call, is negative.</summary>
    /// <exception cref="SponsoredMemoryException">The call failed.</exception>
    public static void ThrowIfFailed(int status, string operation)
    {
        if (status < 0)
        {
            throw new SponsoredMemoryException(operation, -status, Remedy(-status));
        }
    }

    private static string Remedy(int errno) => errno switch
    {
        ENOTCONN when string.IsNullOrEmpty(Environment.GetEnvironmentVariable("HECA_SOCKET")) =>
            "this program is not running under `heca run`: start it with `heca run -- PROGRAM`",
        EBUSY => "the pager serves another program: each needs a `heca run` of its own",
        ENOTCONN => "the pager named by HECA_SOCKET is gone or not there: see what it wrote, and start the program anew with `heca run`",
        ENOSPC => "the sponsor cannot take that much: offer more with `heca-sponsor --memory`, or allocate less",
        ENOMEM => "no address space is left (see `ulimit -v`), or the growth exceeds the reserve given to Allocate",
        EPERM => "the kernel does not let this user make a userfaultfd: `heca check` says how to allow it",
        EPROTO => "the pager and libheca.so are of different versions: install both from one build",
        EINVAL => "the range is not inside a segment that this process has allocated",
        _ => "`heca check` looks at this host",
    };

    /// <summary>The number and the text of an errno.</summary>
    public static string Describe(int errno) => $"errno {errno}, {Marshal.GetPInvokeErrorMessage(errno)}";
}
