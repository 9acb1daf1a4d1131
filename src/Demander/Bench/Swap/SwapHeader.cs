using System.Buffers.Binary;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Swap;

/// <summary>What mkswap(8) writes: the first page of a swap area (union swap_header of include/linux/swap.h, version 1).</summary>
internal static class SwapHeader
{
    private const int InfoOffset = 1024;
    private const int MagicLength = 10;

    /// <summary>Zeroes and signs the first page of an area of <paramref name="bytes"/>; the kernel must see it before swapon.</summary>
    public static void Write(FileStream area, long bytes)
    {
        byte[] page = new byte[PageSize.Bytes];
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(InfoOffset), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(InfoOffset + 4), (uint)((bytes / PageSize.Bytes) - 1));
        "SWAPSPACE2"u8.CopyTo(page.AsSpan(PageSize.Bytes - MagicLength));
        area.Position = 0;
        area.Write(page);
        area.Flush(flushToDisk: true);
    }
}
