namespace Hecatonchire.Pressure;

/// <summary>The host's free memory, from /proc/meminfo.</summary>
internal sealed class HostMemory(string procRoot) : IDisposable
{
    private const long ReserveBytesMin = 64L << 20;
    private const int ReserveShare = 50;

    private readonly KernelFile? _meminfo = KernelFile.TryOpen($"{procRoot}/meminfo");

    /// <summary>Bytes by which MemAvailable falls short of its reserve (2 % of MemTotal, at least 64 MiB); 0 or less when it does not.</summary>
    public long ReadMissing()
    {
        Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
        int length = _meminfo?.Read(text) ?? 0;
        if (length <= 0)
        {
            return 0;
        }

        long total = KernelFile.FindValue(text[..length], "MemTotal"u8);
        long available = KernelFile.FindValue(text[..length], "MemAvailable"u8);
        return total <= 0 || available < 0
            ? 0
            : Math.Max(ReserveBytesMin, total * 1024 / ReserveShare) - available * 1024;
    }

    public void Dispose() => _meminfo?.Dispose();
}
