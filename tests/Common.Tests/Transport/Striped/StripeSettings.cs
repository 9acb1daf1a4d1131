using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>What one simulation does; all of it from the seed.</summary>
internal sealed record StripeSettings(int Seed, int Sponsors, int Replicas, int Stripes, ReadPolicy Policy, int AwayPerThousand, int SilentPerThousand, int LosePerThousand, int CorruptPerThousand,
    int SlowPerThousand, bool Hedges, bool Seals)
{
    public static StripeSettings FromSeed(int seed)
    {
        var random = new Random(seed);
        int sponsors = random.Next(1, 6);
        return new StripeSettings(
            seed,
            sponsors,
            random.Next(1, Math.Min(sponsors, 3) + 1),
            random.Next(1, 4),
            (ReadPolicy)random.Next(3),
            random.Next(2) * random.Next(30),
            random.Next(2) * random.Next(15),
            random.Next(3) == 0 ? random.Next(10) : 0,
            random.Next(2) * random.Next(60),
            random.Next(2) * random.Next(40),
            random.Next(4) > 0,
            random.Next(3) == 0);
    }
}
