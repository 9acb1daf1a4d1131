namespace Hecatonchire.Pager;

/// <summary>Where a page of a segment is, as a survey counts it.</summary>
internal enum PagePlace : byte
{
    Here,
    Remote,
    Lost,
}

/// <summary>
/// Counts, for each of the cells that a segment is divided into, pages that are here, remote and lost. Made by who asks, filled by the pager thread, which allocates nothing
/// for it; read when the survey has ended.
/// </summary>
/// <param name="segments">Those that come first in the survey have cells.</param>
internal sealed class SegmentCells(int segments)
{
    /// <summary>Cells of a segment; fewer where it has fewer pages.</summary>
    public const int CellsMax = 256;

    private const int Places = 3;

    private readonly int[] _counts = new int[segments * CellsMax * Places];

    public int Segments => segments;

    public static int CellsOf(long pages) => (int)Math.Min(CellsMax, pages);

    /// <summary>A page of a segment of <paramref name="pages"/>.</summary>
    public void Add(int segment, long page, long pages, PagePlace place)
    {
        if (segment < segments)
        {
            _counts[(((segment * CellsMax) + (int)(page * CellsOf(pages) / pages)) * Places) + (int)place]++;
        }
    }

    /// <summary>
    /// One digit for each cell: which share of its pages is there. 0 is none and 9 is all; 1 to 8 are eighths, so that one page is seen, and one that is missing. Null where the
    /// segment has no cells.
    /// </summary>
    public string? Digits(int segment, long pages, PagePlace place) => segment >= segments || pages == 0
        ? null
        : string.Create(CellsOf(pages), (Counts: _counts, segment, pages, place), static (digits, from) =>
        {
            for (int cell = 0; cell < digits.Length; cell++)
            {
                long size = FirstPage(cell + 1, digits.Length, from.pages) - FirstPage(cell, digits.Length, from.pages);
                digits[cell] = Digit(from.Counts[(((from.segment * CellsMax) + cell) * Places) + (int)from.place], size);
            }
        });

    public static char Digit(long count, long size) => (char)('0' + (count <= 0 ? 0 : count >= size ? 9 : 1 + (count * 8 / size)));

    /// <summary>The first page that <see cref="Add"/> counts to a cell.</summary>
    private static long FirstPage(long cell, long cells, long pages) => ((cell * pages) + cells - 1) / cells;
}
