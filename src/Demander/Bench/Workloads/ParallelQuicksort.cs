using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// Quicksort of 32-bit integers by several threads. They share a stack of ranges: a thread divides its range, leaves the
/// larger part there and goes on with the smaller, so that the stack stays as shallow as the logarithm of the length.
/// </summary>
internal sealed unsafe class ParallelQuicksort
{
    /// <summary>Below this, insertion is faster than dividing.</summary>
    private const long InsertionMax = 24;

    /// <summary>Below this a range is sorted by the thread that has it: taking it from the stack would cost more than it saves.</summary>
    private const long SharedMin = 1 << 15;

    /// <summary>From here on the pivot is the median of three medians of three.</summary>
    private const long WideMedianMin = 1024;

    private readonly int* _values;
    private readonly PhaseProgress _progress;
    private readonly Stack<(long First, long Last)> _ranges = new();
    private long _unfinished;
    private long _looked;

    private ParallelQuicksort(int* values, PhaseProgress progress)
    {
        _values = values;
        _progress = progress;
    }

    /// <summary>Sorts <paramref name="count"/> values upwards; progress is in values that have their place. Returns how many values
    /// were looked at while dividing and inserting.</summary>
    public static long Sort(int* values, long count, int threads, PhaseProgress progress)
    {
        var sort = new ParallelQuicksort(values, progress);
        if (count > 0)
        {
            sort._ranges.Push((0, count - 1));
            sort._unfinished = 1;
            Workers.Run("sort", threads, _ => sort.Work());
        }

        return sort._looked;
    }

    private void Work()
    {
        long looked = 0;
        while (TryTake(out long first, out long last))
        {
            while (last - first >= SharedMin)
            {
                looked += last - first + 1;
                long middle = Divide(_values, first, last);
                if (middle - first < last - middle - 1)
                {
                    Give(middle + 1, last);
                    last = middle;
                }
                else
                {
                    Give(first, middle);
                    first = middle + 1;
                }
            }

            looked += SortAlone(_values, first, last);
            _progress.Add(last - first + 1);
            Finished();
        }

        Interlocked.Add(ref _looked, looked);
    }

    private void Give(long first, long last)
    {
        lock (_ranges)
        {
            _unfinished++;
            _ranges.Push((first, last));
            Monitor.Pulse(_ranges);
        }
    }

    private void Finished()
    {
        lock (_ranges)
        {
            if (--_unfinished == 0)
            {
                Monitor.PulseAll(_ranges);
            }
        }
    }

    /// <summary>Waits while others may still leave ranges; false when all are sorted.</summary>
    private bool TryTake(out long first, out long last)
    {
        lock (_ranges)
        {
            while (_ranges.Count == 0 && _unfinished > 0)
            {
                Monitor.Wait(_ranges);
            }

            bool taken = _ranges.TryPop(out (long First, long Last) range);
            (first, last) = range;
            return taken;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long SortAlone(int* values, long first, long last)
    {
        long looked = 0;
        while (last - first >= InsertionMax)
        {
            looked += last - first + 1;
            long middle = Divide(values, first, last);
            if (middle - first < last - middle - 1)
            {
                looked += SortAlone(values, first, middle);
                first = middle + 1;
            }
            else
            {
                looked += SortAlone(values, middle + 1, last);
                last = middle;
            }
        }

        for (long i = first + 1; i <= last; i++)
        {
            int value = values[i];
            long j = i - 1;
            for (; j >= first && values[j] > value; j--)
            {
                values[j + 1] = values[j];
            }

            values[j + 1] = value;
        }

        return looked + Math.Max(0, last - first + 1);
    }

    /// <summary>
    /// Hoare's division: returns m, first &lt;= m &lt; last, with no value up to m greater than any behind it. Both scans stop
    /// at equal values, so that many duplicates still divide in the middle.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Divide(int* values, long first, long last)
    {
        int pivot = Pivot(values, first, last);
        long i = first - 1, j = last + 1;
        while (true)
        {
            do
            {
                i++;
            }
            while (values[i] < pivot);

            do
            {
                j--;
            }
            while (values[j] > pivot);

            if (i >= j)
            {
                return j;
            }

            (values[i], values[j]) = (values[j], values[i]);
        }
    }

    /// <summary>A value of the range of which another element is at least as large, without which a division could be empty.</summary>
    private static int Pivot(int* values, long first, long last)
    {
        long middle = first + ((last - first) / 2);
        if (last - first < WideMedianMin)
        {
            return Median(values[first], values[middle], values[last]);
        }

        long step = (last - first) / 8;
        return Median(
            Median(values[first], values[first + step], values[first + (2 * step)]),
            Median(values[middle - step], values[middle], values[middle + step]),
            Median(values[last - (2 * step)], values[last - step], values[last]));
    }

    private static int Median(int a, int b, int c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
}
