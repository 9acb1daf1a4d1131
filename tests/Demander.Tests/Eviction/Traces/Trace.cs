namespace Hecatonchire.Tests.Eviction.Traces;

/// <summary>Pages in the order in which threads touch them; made of a seed, so that it is the same everywhere.</summary>
internal sealed class Trace(string name, int pages, int warmUp, int[] touches)
{
    private const int ThreadShift = 28;

    public string Name => name;

    public int Pages => pages;

    /// <summary>Touches before anything is counted.</summary>
    public int WarmUp => warmUp;

    public int Count => touches.Length;

    public int PageAt(int touch) => touches[touch] & ((1 << ThreadShift) - 1);

    public int ThreadAt(int touch) => touches[touch] >> ThreadShift;

    private static Trace Of(string name, int pages, List<int> touches) => new(name, pages, touches.Count / 4, [.. touches]);

    public static Trace Uniform(int pages, int touches, int seed)
    {
        var random = new Random(seed);
        var list = new List<int>(touches);
        for (int i = 0; i < touches; i++)
        {
            list.Add(random.Next(pages));
        }

        return Of("uniform", pages, list);
    }

    public static Trace Zipf(int pages, int touches, int seed)
    {
        var zipf = new ZipfRanks(pages, 0.99, seed);
        var list = new List<int>(touches);
        for (int i = 0; i < touches; i++)
        {
            list.Add(zipf.Next());
        }

        return Of("zipf 0.99", pages, list);
    }

    /// <summary>The whole memory, again and again.</summary>
    public static Trace Scan(int pages, int passes)
    {
        var list = new List<int>(pages * passes);
        for (int i = 0; i < pages * passes; i++)
        {
            list.Add(i % pages);
        }

        return Of("repeated scan", pages, list);
    }

    /// <summary>One thread scans one half of the memory again and again, another has the other half zipf-distributed; in turn.</summary>
    public static Trace ScanAndZipf(int pages, int touches, int seed)
    {
        var zipf = new ZipfRanks(pages / 2, 0.99, seed);
        var list = new List<int>(touches);
        for (int i = 0; i < touches; i++)
        {
            list.Add(i % 2 == 0 ? (pages / 2) + (i / 2 % (pages / 2)) : zipf.Next() | (1 << ThreadShift));
        }

        return Of("scan and zipf", pages, list);
    }

    /// <summary>Zipf-distributed touches by one thread, which are not counted, then a quicksort by another: what was hot is so no more.</summary>
    public static Trace ZipfThenQuicksort(int pages, int touches, int seed)
    {
        Trace zipf = Zipf(pages, touches, seed), quicksort = Quicksort(pages, seed);
        IEnumerable<int> before = Enumerable.Range(0, zipf.Count).Select(i => zipf.PageAt(i) | (1 << ThreadShift));
        return new Trace("zipf, then quicksort", pages, zipf.Count, [.. before, .. Enumerable.Range(0, quicksort.Count).Select(quicksort.PageAt)]);
    }

    /// <summary>The pages that a quicksort of random numbers goes over: two pointers that meet, then each part.</summary>
    public static Trace Quicksort(int pages, int seed)
    {
        const int perPage = 16;
        var random = new Random(seed);
        int[] numbers = new int[pages * perPage];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = random.Next();
        }

        var list = new List<int>(pages * 24);
        for (int page = 0; page < pages; page++)
        {
            list.Add(page);
        }

        Sort(numbers, 0, numbers.Length - 1, element =>
        {
            int page = element / perPage;
            if (list[^1] != page && list[^2] != page)
            {
                list.Add(page);
            }
        });
        return Of("quicksort", pages, list);
    }

    private static void Sort(int[] numbers, int low, int high, Action<int> touch)
    {
        while (low < high)
        {
            int pivot = numbers[low + ((high - low) / 2)], i = low, j = high;
            while (i <= j)
            {
                while (Touched(numbers, i, touch) < pivot)
                {
                    i++;
                }

                while (Touched(numbers, j, touch) > pivot)
                {
                    j--;
                }

                if (i <= j)
                {
                    (numbers[i], numbers[j]) = (numbers[j], numbers[i]);
                    i++;
                    j--;
                }
            }

            // The smaller part first, as a sort that bounds its stack does.
            if (j - low < high - i)
            {
                Sort(numbers, low, j, touch);
                low = i;
            }
            else
            {
                Sort(numbers, i, high, touch);
                high = j;
            }
        }
    }

    private static int Touched(int[] numbers, int at, Action<int> touch)
    {
        touch(at);
        return numbers[at];
    }

    /// <summary>Ranks as often as 1 / rank^theta says, each a page of its own, scattered.</summary>
    private sealed class ZipfRanks
    {
        private readonly Random _random;
        private readonly double[] _cumulated;
        private readonly int[] _pageOf;

        public ZipfRanks(int pages, double theta, int seed)
        {
            _random = new Random(seed);
            _cumulated = new double[pages];
            double sum = 0;
            for (int rank = 0; rank < pages; rank++)
            {
                _cumulated[rank] = sum += Math.Pow(rank + 1, -theta);
            }

            _pageOf = [.. Enumerable.Range(0, pages)];
            _random.Shuffle(_pageOf);
        }

        public int Next()
        {
            int at = Array.BinarySearch(_cumulated, _random.NextDouble() * _cumulated[^1]);
            return _pageOf[Math.Min(at < 0 ? ~at : at, _pageOf.Length - 1)];
        }
    }
}
