using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Host;

/// <summary>What came of opening a userfaultfd the way libheca does: the device first, then the system call.</summary>
internal sealed unsafe record UserfaultfdOpening
{
    private const nuint IoctlNew = 0xAA00;
    private const nuint IoctlApi = 0xC018AA3F;
    private const ulong Api = 0xAA;

    /// <summary>0 when the device gave a descriptor; ENOENT where the kernel has none (before 6.1, or not in this container).</summary>
    public int DeviceErrno { get; init; }

    /// <summary>0 when the system call gave one; -1 when it was not needed.</summary>
    public int CallErrno { get; init; } = -1;

    /// <summary>0 when the kernel speaks our version of the interface.</summary>
    public int ApiErrno { get; init; }

    /// <summary>UFFD_FEATURE_* of this kernel; 0 when none could be asked.</summary>
    public ulong Features { get; init; }

    /// <summary>UFFD_FEATURE_MOVE.</summary>
    public bool CanMove => (Features & (1UL << 16)) != 0;

    public bool Opened => DeviceErrno == 0 || CallErrno == 0;

    /// <summary>Opens one, asks for its features, closes it.</summary>
    public static UserfaultfdOpening Try()
    {
        int descriptor = OpenDevice(out int deviceErrno);
        int callErrno = -1;
        if (descriptor < 0)
        {
            // The numbers of userfaultfd(2).
            nint number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 282 : 323;
            descriptor = (int)Libc.SystemCall(number, Libc.O_CLOEXEC | Libc.O_NONBLOCK);
            callErrno = descriptor < 0 ? Libc.Errno : 0;
        }

        var opening = new UserfaultfdOpening { DeviceErrno = deviceErrno, CallErrno = callErrno };
        if (descriptor < 0)
        {
            return opening;
        }

        // struct uffdio_api: asking for no feature makes the kernel list all it has.
        ulong* api = stackalloc ulong[3] { Api, 0, 0 };
        int apiErrno = Libc.Ioctl(descriptor, IoctlApi, api) < 0 ? Libc.Errno : 0;
        _ = Libc.Close(descriptor);
        return opening with { ApiErrno = apiErrno, Features = apiErrno == 0 ? api[1] : 0 };
    }

    /// <summary>Turns features on, once per descriptor. 0 or errno; EPERM without CAP_SYS_PTRACE for EVENT_FORK.</summary>
    public static int Enable(int descriptor, ulong features)
    {
        ulong* api = stackalloc ulong[3] { Api, features, 0 };
        return Libc.Ioctl(descriptor, IoctlApi, api) < 0 ? Libc.Errno : 0;
    }

    private static int OpenDevice(out int errno)
    {
        int device = Libc.Open("/dev/userfaultfd", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (device < 0)
        {
            errno = Libc.Errno;
            return -1;
        }

        int descriptor = Libc.Ioctl(device, IoctlNew, (void*)(Libc.O_CLOEXEC | Libc.O_NONBLOCK));
        errno = descriptor < 0 ? Libc.Errno : 0;
        _ = Libc.Close(device);
        return descriptor;
    }
}
