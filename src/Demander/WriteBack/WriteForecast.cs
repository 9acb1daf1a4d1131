using Hecatonchire.Pages;

namespace Hecatonchire.WriteBack;

/// <summary>
/// Decides what is worth protecting. A protected page that stays unchanged saves about 1 us when it leaves; one that is written
/// costs a fault of about 10 us. So: a stream of writes, up or down, is let through ever further ahead, and while more than one
/// protected page in ten ends in a fault, pages come in unprotected, with a look now and then whether that has changed.
/// Four streams are followed; 8 more bytes of state per stream and none per page.
/// </summary>
internal sealed class WriteForecast
{
    /// <summary>Pages one write fault lets through at most.</summary>
    public const int RunPagesMax = 64;

    private const int Streams = 4;

    /// <summary>A write so near to where a stream ended belongs to it.</summary>
    private const int Reach = 4;

    private const int PagesPerLook = 1024;
    private const int FaultsPerLookMax = PagesPerLook / 10;
    private const int PagesUnprotected = 16 * PagesPerLook;

    private readonly Stream[] _streams = new Stream[Streams];
    private int _oldest;
    private int _protected;
    private int _faults;
    private int _unprotectedLeft;

    private struct Stream
    {
        /// <summary>The first and the last page let through; together with the neighbours the next write is expected at.</summary>
        public PageId First;
        public PageId Last;
        public int Run;
    }

    /// <summary>Whether pages that come in now are to be protected.</summary>
    public bool Protects(int pages)
    {
        if (_unprotectedLeft > 0)
        {
            _unprotectedLeft -= pages;
            return false;
        }

        _protected += pages;
        if (_protected >= PagesPerLook)
        {
            (_protected, _faults) = (_protected / 2, _faults / 2);
        }

        return true;
    }

    /// <summary>
    /// A write fault: how many pages to let through, the page itself included; negative: so many downwards. The caller says with
    /// <see cref="LetThrough"/> how far it went.
    /// </summary>
    public int OnWriteFault(PageId id, out int stream)
    {
        _faults++;
        if (_faults > FaultsPerLookMax)
        {
            (_unprotectedLeft, _protected, _faults) = (PagesUnprotected, 0, 0);
        }

        for (stream = 0; stream < Streams; stream++)
        {
            ref Stream known = ref _streams[stream];
            if (known.First.IsNone || known.First.Segment != id.Segment)
            {
                continue;
            }

            long above = id.Page - known.Last.Page, below = known.First.Page - id.Page;
            if (above is > 0 and <= Reach || below is > 0 and <= Reach)
            {
                known.Run = Math.Min(known.Run * 2, RunPagesMax);
                return above > 0 ? known.Run : -known.Run;
            }
        }

        stream = _oldest;
        _oldest = (_oldest + 1) % Streams;
        _streams[stream].Run = 1;
        return 1;
    }

    public void LetThrough(int stream, PageId first, PageId last) => (_streams[stream].First, _streams[stream].Last) = (first, last);
}
