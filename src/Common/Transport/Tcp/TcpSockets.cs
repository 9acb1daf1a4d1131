using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Tcp;

/// <summary>The options both ends of a data connection set.</summary>
internal static class TcpSockets
{
    /// <summary>A demander that hears nothing for this long from a sponsor it waits for takes it for lost.</summary>
    public const int DemanderTimeoutMs = 10_000;

    /// <summary>Longer: a demander that is stopped in a debugger for a while keeps its connection.</summary>
    public const int SponsorTimeoutMs = 60_000;

    /// <summary>
    /// Two windows of 128 pages and their write-backs, so that neither side waits for the kernel to grow its buffers
    /// (a scan was a tenth slower while they were left to it).
    /// </summary>
    private const int BufferBytes = 2 << 20;

    private const int KeepAliveIdleSeconds = 5;
    private const int KeepAliveIntervalSeconds = 2;

    /// <summary>Sets a connected socket up: no Nagle delay, and a peer whose host vanished is noticed in bounded time.</summary>
    public static void Configure(int descriptor, int timeoutMs)
    {
        Libc.SetSocketOption(descriptor, Libc.IPPROTO_TCP, Libc.TCP_NODELAY, 1);
        Libc.SetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_SNDBUF, BufferBytes);
        Libc.SetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_RCVBUF, BufferBytes);
        Libc.SetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_KEEPALIVE, 1);
        Libc.SetSocketOption(descriptor, Libc.IPPROTO_TCP, Libc.TCP_KEEPIDLE, KeepAliveIdleSeconds);
        Libc.SetSocketOption(descriptor, Libc.IPPROTO_TCP, Libc.TCP_KEEPINTVL, KeepAliveIntervalSeconds);
        Libc.SetSocketOption(
            descriptor, Libc.IPPROTO_TCP, Libc.TCP_KEEPCNT, Math.Max(1, timeoutMs / 1000 / KeepAliveIntervalSeconds));
        Libc.SetSocketOption(descriptor, Libc.IPPROTO_TCP, Libc.TCP_USER_TIMEOUT, timeoutMs);
    }
}
