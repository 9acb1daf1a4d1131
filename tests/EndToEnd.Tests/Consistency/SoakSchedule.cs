namespace Hecatonchire.Tests.Consistency;

/// <summary>
/// All that a seed decides: how many replicas and sponsors there are, and what happens to them. The last sponsor has a <see cref="Harness.WireProxy"/> before it: it is
/// slow and damages pages, and is not killed or cut off, which the proxy would not pass on as what it is.
/// </summary>
internal sealed class SoakSchedule
{
    /// <summary>After twenty seconds of silence a sponsor is given up: what is longer is beyond that.</summary>
    private static readonly (double From, double To) s_long = (21, 27);

    private readonly int _seed;

    public SoakSchedule(int seed)
    {
        _seed = seed;
        var random = new Random(seed);
        Replicas = random.Next(8) switch { 0 => 1, < 5 => 2, _ => 3 };

        // Checksums do not survive the pager: what a dead one has written is taken as it comes. So a schedule has either.
        KillsPagers = random.Next(2) == 0;
    }

    public int Replicas { get; }

    /// <summary>True: pagers die. False: pages are damaged.</summary>
    public bool KillsPagers { get; }

    public int Sponsors => Replicas + 2;

    /// <summary>The sponsor behind the wire.</summary>
    public int Wired => Sponsors - 1;

    /// <summary>The same ones for the same seed, without end.</summary>
    public IEnumerable<SoakEvent> Events()
    {
        var random = new Random(unchecked((_seed * 31) + 17));
        (SoakEventKind Kind, int Weight)[] kinds =
        [
            (SoakEventKind.Kill, 5), (SoakEventKind.Cut, 4), (SoakEventKind.Stop, 3), (SoakEventKind.Drain, 3), (SoakEventKind.Offer, 1), (SoakEventKind.Slow, 2),
            (SoakEventKind.FlipReads, KillsPagers ? 0 : 2), (SoakEventKind.FlipWrites, KillsPagers ? 0 : 3),
            (SoakEventKind.KillPager, KillsPagers ? 5 : 0), (SoakEventKind.Takeover, KillsPagers ? 1 : 0),
        ];
        for (double at = 2; ; at += Between(random, 0.5, 3))
        {
            SoakEvent next = Draw(Choose(random, kinds), at, random);
            yield return next;
            at += next.Length.TotalSeconds;
        }
    }

    private SoakEvent Draw(SoakEventKind kind, double at, Random random)
    {
        int sponsor = random.Next(Wired), other = (sponsor + 1 + random.Next(Wired - 1)) % Wired, chance = random.Next(100);
        bool isWired = kind is SoakEventKind.Slow or SoakEventKind.FlipReads or SoakEventKind.FlipWrites
            || (kind is SoakEventKind.Stop or SoakEventKind.Drain or SoakEventKind.Offer && random.Next(4) == 0);
        bool isDouble = kind switch
        {
            SoakEventKind.Kill => Replicas > 2 && chance < 50,
            SoakEventKind.Drain => Replicas > 1 && chance < 30,
            SoakEventKind.KillPager => Replicas > 1 && chance < 40,
            _ => false,
        };
        (double from, double to) = kind switch
        {
            SoakEventKind.Cut => chance < 50 ? (0.2, 1) : chance < 85 ? (1, 6) : s_long,
            SoakEventKind.Stop => chance < 90 ? (0.2, 5) : s_long,
            SoakEventKind.Kill or SoakEventKind.Drain or SoakEventKind.KillPager => (0, 2),
            SoakEventKind.Takeover => (0, 0.1),
            _ => (1, 5),
        };
        double amount = kind == SoakEventKind.Slow ? Between(random, 1, 12) : Between(random, 0.005, 0.05);
        return new SoakEvent(
            TimeSpan.FromSeconds(at), kind, isWired ? Wired : sponsor, isDouble ? other : -1, TimeSpan.FromSeconds(Between(random, from, to)), amount);
    }

    private static SoakEventKind Choose(Random random, (SoakEventKind Kind, int Weight)[] kinds)
    {
        int at = random.Next(kinds.Sum(kind => kind.Weight));
        foreach ((SoakEventKind kind, int weight) in kinds)
        {
            if (at < weight)
            {
                return kind;
            }

            at -= weight;
        }

        throw new InvalidOperationException("no kind of event");
    }

    private static double Between(Random random, double from, double to) => from + (random.NextDouble() * (to - from));
}
