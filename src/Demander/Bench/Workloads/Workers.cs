using System.Runtime.ExceptionServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>Threads of a workload: plain ones, since every one of them may stand still in a page fault.</summary>
internal static class Workers
{
    /// <summary>Runs <paramref name="body"/> with 0 to <paramref name="count"/> - 1, each on its own thread; rethrows the first failure.</summary>
    public static void Run(string name, int count, Action<int> body)
    {
        Exception? failure = null;
        var threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            int index = i;
            threads[i] = new Thread(() =>
            {
                try
                {
                    body(index);
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref failure, e, null);
                }
            })
            {
                Name = $"{name} {index}",
                IsBackground = true,
            };
        }

        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <summary>The part of <paramref name="total"/> that thread <paramref name="index"/> of <paramref name="count"/> has.</summary>
    public static (long Start, long End) Part(long total, int index, int count) =>
        ((long)((Int128)total * index / count), (long)((Int128)total * (index + 1) / count));
}
