using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>Against the runtime's own sort.</summary>
public sealed unsafe class ParallelQuicksortTests
{
    public static TheoryData<string, int> Shapes
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string shape in (string[])["random", "few values", "all equal", "sorted", "reversed", "organ pipe", "extremes"])
            {
                for (int threads = 1; threads <= 4; threads++)
                {
                    data.Add(shape, threads);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Sorts_every_shape_and_length(string shape, int threads)
    {
        // Around each border of the algorithm: insertion (24), wide median (1024); the last are shared between threads (32768).
        int[] lengths = [.. Enumerable.Range(0, 60), 1023, 1024, 1025, 1026, 4999, 5000, 32_768, 32_769, 200_000];
        foreach (int length in lengths)
        {
            Check(Shape(shape, length), threads, $"{shape}, {length}, {threads}");
        }
    }

    [Fact]
    public void Sorts_every_length_to_5000()
    {
        for (int length = 0; length <= 5000; length += 7)
        {
            Check(Shape("random", length), 1 + (length % 4), $"{length}");
        }
    }

    [Fact]
    public void Tells_how_far_it_is()
    {
        var progress = new PhaseProgress();
        int[] values = Shape("random", 100_000);
        fixed (int* at = values)
        {
            Assert.True(ParallelQuicksort.Sort(at, values.Length, 2, progress) > values.Length);
        }

        Assert.Equal(values.Length, progress.Done);
    }

    private static void Check(int[] values, int threads, string what)
    {
        int[] expected = [.. values];
        Array.Sort(expected);
        fixed (int* at = values)
        {
            ParallelQuicksort.Sort(at, values.Length, threads, new PhaseProgress());
        }

        Assert.True(values.AsSpan().SequenceEqual(expected), what);
    }

    private static int[] Shape(string shape, int length)
    {
        var random = new PseudoRandom((ulong)length);
        int[] values = new int[length];
        for (int i = 0; i < length; i++)
        {
            values[i] = shape switch
            {
                "random" => (int)random.Next(),
                "few values" => (int)random.Below(3),
                "all equal" => 42,
                "sorted" => i,
                "reversed" => length - i,
                "organ pipe" => Math.Min(i, length - i),
                _ => random.Below(2) == 0 ? int.MinValue : int.MaxValue,
            };
        }

        return values;
    }
}
