using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Host;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>A segment that is larger than all hosts together, with little in it.</summary>
public sealed class SparseSegmentTests : IDisposable
{
    private const long MiB = 1L << 20;

    /// <summary>Of the touched parts: entry, hash and sum of a page, and what the pager's own page tables take.</summary>
    private const double ShareMax = 0.006;

    private const int SponsorCount = 10;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(300);

    private readonly List<SponsorProcess> _sponsors = [];

    public SparseSegmentTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose() => _sponsors.ForEach(sponsor => sponsor.Dispose());

    [Fact]
    public async Task Of_a_tebibyte_over_ten_sponsors_only_what_is_touched_costs_memory()
    {
        int pages = Environment.GetEnvironmentVariable("HECA_SHORT") == "1" ? 20_000 : 100_000;
        _sponsors.AddRange(Enumerable.Range(0, SponsorCount).AsParallel().WithDegreeOfParallelism(SponsorCount).Select(_ => new SponsorProcess("104GiB")));

        using Process run = HecaRun.Start(_sponsors, "", "--local", "64MiB", "--prefetch", "none", "--stats", "--", Programs.Test, "sparse", "1024", $"{pages}", "7");
        Task<string> error = run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        try
        {
            Step(run, "small");
            long before = MemoryOf(run.Id), slabsBefore = SponsorMemory();
            long[] allocated = Step(run, "allocated");
            long empty = MemoryOf(run.Id), slabsEmpty = SponsorMemory();
            long[] touched = Step(run, "touched");
            long full = MemoryOf(run.Id);
            _ = Step(run, "verified");
            HecaRun.WaitUntilRemote(run.Id, (pages * 4096L) - (72 * MiB), Hecatonchire.Status.StatusDirectory.Own);
            long verified = MemoryOf(run.Id), slabsFull = SponsorMemory();
            _ = Step(run, "ok");
            Assert.True(run.WaitForExit(s_deadline));
            string told = await error;
            Assert.True(run.ExitCode == 0, told);
            Assert.Contains(" 0 lost", told, StringComparison.Ordinal);

            (long written, long groups) = (touched[0], touched[1]);
            long metadata = Math.Max(full, verified) - empty;
            double ofParts = (double)metadata / (groups * 2 * MiB), ofPages = (double)metadata / (written * 4096);
            TestContext.Current.TestOutputHelper!.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"1 TiB allocated in {allocated[0] / 1000} ms: {(empty - before) / MiB} MiB of the pager's, {(slabsEmpty - slabsBefore) / MiB} MiB of ten sponsors'. "
                + $"{written} pages at random ({written * 4096 / MiB} MiB) in {groups} parts of 2 MiB: {metadata / MiB} MiB of the pager's, "
                + $"{100 * ofParts:0.000} % of the parts, {100 * ofPages:0.0} % of the pages; {(slabsFull - slabsEmpty) / MiB} MiB of the sponsors'"));
            Assert.Equal(pages, written);
            Assert.True(ofParts <= ShareMax, $"metadata takes {100 * ofParts:0.000} % of the touched parts");
            Assert.True(empty - before <= 64 * MiB, $"the pager takes {(empty - before) / MiB} MiB for a tebibyte that nobody has touched");
            Assert.True(slabsFull - slabsEmpty <= (2 * written * 4096) + (SponsorCount * 16 * MiB), $"sponsors take {(slabsFull - slabsEmpty) / MiB} MiB for {written * 4096 / MiB}");
        }
        finally
        {
            if (!run.HasExited)
            {
                run.Kill(entireProcessTree: true);
            }
        }
    }

    private long SponsorMemory() => _sponsors.Sum(sponsor => MemoryOf(sponsor.Id));

    /// <summary>What a process takes of this host's memory, its page tables included.</summary>
    private static long MemoryOf(int process) => File.ReadLines($"/proc/{process}/status")
        .Where(line => line.StartsWith("RssAnon:", StringComparison.Ordinal) || line.StartsWith("RssShmem:", StringComparison.Ordinal) || line.StartsWith("VmPTE:", StringComparison.Ordinal))
        .Sum(line => long.Parse(line.Split(':')[1].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10);

    /// <summary>Lets the program go on, and waits for the line that begins so. The numbers on it.</summary>
    private static long[] Step(Process run, string expected)
    {
        if (expected != "small")
        {
            run.StandardInput.WriteLine();
        }

        Task<string?> line = run.StandardOutput.ReadLineAsync();
        Assert.True(line.Wait(s_deadline), $"the program does not come to '{expected}'");
        Assert.StartsWith(expected, line.Result ?? "nothing", StringComparison.Ordinal);
        return [.. line.Result!.Split(' ').Skip(1).Select(number => long.Parse(number, CultureInfo.InvariantCulture))];
    }
}
