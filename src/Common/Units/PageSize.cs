namespace Hecatonchire.Units;

/// <summary>The page of userfaultfd ranges, slots and frames: 4 KiB, the base page of x86-64.</summary>
internal static class PageSize
{
    public const int Bytes = 4096;
    public const int Shift = 12;
}
