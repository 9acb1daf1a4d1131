using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Control.ZeroMq;

/// <summary>A call of libzmq failed: the operation as a person would say it, and errno.</summary>
internal sealed class ZmqException(string operation, int errno)
    : Exception($"cannot {operation}: {Text(errno)}")
{
    public int Code { get; } = errno;

    // libzmq has errno values of its own from 156384712 on, which strerror does not know.
    private static string Text(int errno) => Marshal.PtrToStringUTF8(LibZmq.ErrorText(errno)) ?? Errno.Describe(errno);
}

/// <summary>This host has no libzmq that the control plane can use. The message says what to install.</summary>
internal sealed class ZmqUnavailableException(string message, Exception? inner = null) : Exception(message, inner);
