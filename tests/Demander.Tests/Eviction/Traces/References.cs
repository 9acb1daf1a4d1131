namespace Hecatonchire.Tests.Eviction.Traces;

/// <summary>What to compare with: a policy that sees every touch, and one that knows the future. Both without prefetch.</summary>
internal static class References
{
    /// <summary>Misses after the warm-up when the page touched longest ago leaves.</summary>
    public static long Lru(Trace trace, int resident)
    {
        // A list through arrays: place 0 is its head.
        int[] next = new int[trace.Pages + 1], previous = new int[trace.Pages + 1];
        bool[] isHere = new bool[trace.Pages + 1];
        int count = 0;
        long misses = 0;
        for (int i = 0; i < trace.Count; i++)
        {
            int page = trace.PageAt(i) + 1;
            if (isHere[page])
            {
                Unlink(page);
            }
            else
            {
                misses += i >= trace.WarmUp ? 1 : 0;
                isHere[page] = true;
                if (++count > resident)
                {
                    int victim = previous[0];
                    Unlink(victim);
                    isHere[victim] = false;
                    count--;
                }
            }

            (next[page], previous[page]) = (next[0], 0);
            previous[next[0]] = page;
            next[0] = page;
        }

        return misses;

        void Unlink(int page)
        {
            next[previous[page]] = next[page];
            previous[next[page]] = previous[page];
        }
    }

    /// <summary>Misses after the warm-up when the page leaves that is touched last of all again (Belady 1966): nothing can do better.</summary>
    public static long Optimal(Trace trace, int resident)
    {
        int[] nextTouch = new int[trace.Count];
        int[] last = new int[trace.Pages];
        Array.Fill(last, int.MaxValue);
        for (int i = trace.Count - 1; i >= 0; i--)
        {
            int page = trace.PageAt(i);
            nextTouch[i] = last[page];
            last[page] = i;
        }

        // Entries go stale when their page is touched; the newest of a page is the one that counts.
        var farthest = new PriorityQueue<int, int>();
        int[] due = new int[trace.Pages];
        bool[] isHere = new bool[trace.Pages];
        int count = 0;
        long misses = 0;
        for (int i = 0; i < trace.Count; i++)
        {
            int page = trace.PageAt(i);
            if (!isHere[page])
            {
                misses += i >= trace.WarmUp ? 1 : 0;
                if (count == resident)
                {
                    int victim, at;
                    while (!farthest.TryDequeue(out victim, out at) || !isHere[victim] || due[victim] != -at)
                    {
                    }

                    isHere[victim] = false;
                    count--;
                }

                isHere[page] = true;
                count++;
            }

            due[page] = nextTouch[i];
            farthest.Enqueue(page, -nextTouch[i]);
        }

        return misses;
    }
}
