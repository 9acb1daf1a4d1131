using Hecatonchire.Interop;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Control;

/// <summary>An eventfd: any thread sets it, and one thread that polls <see cref="Descriptor"/> wakes and clears it.</summary>
internal sealed unsafe class WakeSignal : IDisposable
{
    private readonly SafeFileHandle _handle;

    public WakeSignal()
    {
        int descriptor = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        if (descriptor < 0)
        {
            throw new IOException($"eventfd failed: {Errno.Describe(Libc.Errno)}");
        }

        _handle = new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>For poll only; valid until this is disposed.</summary>
    public int Descriptor => (int)_handle.DangerousGetHandle();

    /// <summary>Wakes the waiter, now or when it next waits. Does nothing after the end.</summary>
    public void Set()
    {
        bool referenced = false;
        try
        {
            _handle.DangerousAddRef(ref referenced);
            ulong one = 1;
            _ = Libc.Write(Descriptor, &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
        }
        finally
        {
            if (referenced)
            {
                _handle.DangerousRelease();
            }
        }
    }

    public void Clear()
    {
        ulong count;
        _ = Libc.Read(Descriptor, &count, sizeof(ulong));
    }

    public void Dispose() => _handle.Dispose();
}
