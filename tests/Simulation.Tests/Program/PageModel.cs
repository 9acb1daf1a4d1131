using Hecatonchire.Tests.Kernel;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Program;

/// <summary>
/// What every page must contain: <see cref="Words"/> words of it are written by the program, all others stay zero. A page whose contents
/// the program gave up while it was used is uncertain: each word is the newest or zero, until it is read once.
/// </summary>
internal sealed unsafe class PageModel(int pages)
{
    public const int Words = 8;

    // A prime number of words apart: in different stripes and blocks of the hash.
    private const int WordsApart = 61;

    private readonly ulong[] _expected = new ulong[pages * Words];
    private readonly bool[] _uncertain = new bool[pages];
    private readonly bool[] _mayBeLost = new bool[pages];
    private readonly ulong[] _scratch = new ulong[PageSize.Bytes / sizeof(ulong)];

    /// <summary>What a forked child's pages must contain.</summary>
    public PageModel Fork()
    {
        var child = new PageModel(pages);
        Array.Copy(_expected, child._expected, _expected.Length);
        Array.Copy(_uncertain, child._uncertain, pages);
        Array.Copy(_mayBeLost, child._mayBeLost, pages);
        return child;
    }

    /// <summary>The pages that are being given up right now: what a read finds may still go.</summary>
    public (int First, int Pages) Racing { get; set; }

    public void Write(int page, int word, ulong value, byte* data)
    {
        _expected[(page * Words) + word] = value;
        ((ulong*)data)[word * WordsApart] = value;
    }

    public ulong Expected(int page, int word) => _expected[(page * Words) + word];

    public void Forget(int page)
    {
        Array.Clear(_expected, page * Words, Words);
        _uncertain[page] = false;
        _mayBeLost[page] = false;
    }

    /// <summary>The contents have another address now.</summary>
    public void Move(int from, int to)
    {
        Array.Copy(_expected, from * Words, _expected, to * Words, Words);
        (_uncertain[to], _mayBeLost[to]) = (_uncertain[from], _mayBeLost[from]);
        Forget(from);
    }

    public void MakeUncertain(int page) => _uncertain[page] = true;

    /// <summary>SIGBUS was seen: from now on the page may only be poisoned, or given up.</summary>
    public void Lose(int page) => _mayBeLost[page] = true;

    public bool IsLost(int page) => _mayBeLost[page];

    public bool IsZero(int page) => !_expected.AsSpan(page * Words, Words).ContainsAnyExcept(0UL);

    public bool IsUncertain(int page) => _uncertain[page];

    /// <summary>Invariant 2: what the thread sees is the newest version.</summary>
    public void Check(int page, byte* data)
    {
        if (_mayBeLost[page] && !_uncertain[page])
        {
            throw new SimulationException($"page {page} was lost and has contents again");
        }

        if (page >= Racing.First && page < Racing.First + Racing.Pages)
        {
            return;
        }

        if (_uncertain[page])
        {
            for (int word = 0; word < Words; word++)
            {
                ulong found = ((ulong*)data)[word * WordsApart];
                ref ulong expected = ref _expected[(page * Words) + word];
                expected = found == 0 ? 0 : expected;
            }

            (_uncertain[page], _mayBeLost[page]) = (false, false);
        }

        if (!Matches(page, data))
        {
            for (int word = 0; word < Words; word++)
            {
                ulong found = ((ulong*)data)[word * WordsApart];
                if (found != Expected(page, word))
                {
                    throw new SimulationException($"page {page} word {word} reads {found:X}, the newest version is {Expected(page, word):X}");
                }
            }

            throw new SimulationException($"page {page} has words that nobody wrote");
        }
    }

    public bool Matches(int page, byte* data)
    {
        Array.Clear(_scratch);
        for (int word = 0; word < Words; word++)
        {
            _scratch[word * WordsApart] = Expected(page, word);
        }

        return new ReadOnlySpan<ulong>(data, _scratch.Length).SequenceEqual(_scratch);
    }
}
