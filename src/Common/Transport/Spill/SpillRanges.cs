namespace Hecatonchire.Transport.Spill;

/// <summary>Which parts of a file are taken. The lowest gap that is long enough is taken first, which keeps the file short; holes cost nothing. Not for two threads at once.</summary>
internal sealed class SpillRanges
{
    private readonly List<(long Offset, long Bytes)> _taken = [];

    public long Take(long bytes)
    {
        long offset = 0;
        int index = 0;
        while (index < _taken.Count && _taken[index].Offset - offset < bytes)
        {
            offset = _taken[index].Offset + _taken[index].Bytes;
            index++;
        }

        _taken.Insert(index, (offset, bytes));
        return offset;
    }

    public void Return(long offset) => _taken.RemoveAt(_taken.FindIndex(range => range.Offset == offset));
}
