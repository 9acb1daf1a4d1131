using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Control.ZeroMq;

/// <summary>A libzmq context: its I/O thread. Sockets keep it alive; it ends when it and all of them are disposed.</summary>
internal sealed class ZmqContext : SafeHandle
{
    public ZmqContext()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>
    /// Throws <see cref="ZmqUnavailableException"/> where libzmq is missing or was built without CURVE, and
    /// <see cref="ZmqException"/> where the kernel gives no descriptors.
    /// </summary>
    public static ZmqContext Create()
    {
        RequireLibrary();
        ZmqContext context = new();
        context.SetHandle(LibZmq.NewContext());
        if (context.IsInvalid)
        {
            int errno = Marshal.GetLastPInvokeError();
            context.Dispose();
            throw new ZmqException("start libzmq", errno);
        }

        // Without this a socket made after the option, or a forgotten one, would wait for its peer for ever at the end.
        _ = LibZmq.SetContext(context.handle, LibZmq.ZMQ_BLOCKY, 0);
        return context;
    }

    /// <summary>Throws <see cref="ZmqUnavailableException"/>, with the package to install, unless libzmq with CURVE is there.</summary>
    public static void RequireLibrary()
    {
        int curve;
        try
        {
            curve = LibZmq.Has("curve");
        }
        catch (Exception failure) when (failure is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw new ZmqUnavailableException(
                "the library libzmq.so.5 is missing: install the Debian package libzmq5 (apt-get install libzmq5)", failure);
        }

        if (curve != 1)
        {
            throw new ZmqUnavailableException(
                "this libzmq.so.5 was built without CURVE, which the control channel needs: install the Debian package libzmq5");
        }
    }

    protected override bool ReleaseHandle()
    {
        // Every socket holds a reference, so all are closed here and this does not wait. Only a signal interrupts it.
        while (LibZmq.TerminateContext(handle) != 0)
        {
            if (Marshal.GetLastPInvokeError() != Errno.EINTR)
            {
                return false;
            }
        }

        return true;
    }
}
