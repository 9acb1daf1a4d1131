namespace Hecatonchire.Pages;

/// <summary>The segments of one program, found by address or by number. Used by the pager thread only.</summary>
internal sealed class SegmentTable : IDisposable
{
    /// <summary>Segments per program at most: the table is searched on every fault that leaves the last segment.</summary>
    public const int Capacity = 4096;

    private readonly Segment?[] _byNumber = new Segment?[Capacity];
    private readonly Segment?[] _byAddress = new Segment?[Capacity];
    private int _count;
    private Segment? _last;

    public int Count => _count;

    public long TotalPages { get; private set; }

    public Segment this[int number] => _byNumber[number]!;

    /// <summary>A number for the next segment; -1 when there are <see cref="Capacity"/> of them.</summary>
    public int FreeNumber() => _count == Capacity ? -1 : Array.IndexOf(_byNumber, null);

    public void Add(Segment segment)
    {
        _byNumber[segment.Number] = segment;
        int at = _count++;
        while (at > 0 && _byAddress[at - 1]!.Address > segment.Address)
        {
            _byAddress[at] = _byAddress[at - 1];
            at--;
        }

        _byAddress[at] = segment;
        TotalPages += segment.Pages;
    }

    public void Remove(Segment segment)
    {
        int at = Array.IndexOf(_byAddress, segment, 0, _count);
        Array.Copy(_byAddress, at + 1, _byAddress, at, _count - at - 1);
        _byAddress[--_count] = null;
        _byNumber[segment.Number] = null;
        _last = null;
        TotalPages -= segment.Pages;
    }

    public void Resize(Segment segment, long pages)
    {
        TotalPages += pages - segment.Pages;
        segment.Resize(pages);
    }

    /// <summary>The segment that contains <paramref name="address"/>; null when none does.</summary>
    public Segment? Find(ulong address)
    {
        Segment? last = _last;
        if (last is not null && address >= last.Address && address < last.End)
        {
            return last;
        }

        int low = 0, high = _count - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            Segment candidate = _byAddress[middle]!;
            if (address < candidate.Address)
            {
                high = middle - 1;
            }
            else if (address >= candidate.End)
            {
                low = middle + 1;
            }
            else
            {
                return _last = candidate;
            }
        }

        return null;
    }

    /// <summary>The segment with the lowest address that ends above <paramref name="address"/>; null when none does.</summary>
    public Segment? FindFrom(ulong address)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_byAddress[i]!.End > address)
            {
                return _byAddress[i];
            }
        }

        return null;
    }

    /// <summary>The segments beside an address that none contains: where the one below ends (0: none), where the one above starts.</summary>
    public (ulong Start, ulong End) GapAround(ulong address)
    {
        (ulong start, ulong end) = (0, ulong.MaxValue);
        for (int i = 0; i < _count; i++)
        {
            Segment segment = _byAddress[i]!;
            if (segment.Address > address)
            {
                end = segment.Address;
                break;
            }

            start = segment.End;
        }

        return (start, end);
    }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            _byAddress[i]!.Dispose();
        }

        _count = 0;
        _last = null;
    }
}
