using Hecatonchire.Eviction;

namespace Hecatonchire.Tests.Simulations;

/// <summary>What one simulation does; all of it from the seed.</summary>
internal sealed record SimulationSettings
{
    public required int Seed { get; init; }
    public int Steps { get; init; } = 8000;
    public int Threads { get; init; } = 4;
    public int ArenaPages { get; init; } = 2048;
    public int StagingPages { get; init; } = 512;
    public bool TakeCopies { get; init; }
    public string Local { get; init; } = "1MiB";
    public string Prefetch { get; init; } = "trend";
    public EvictionKind Eviction { get; init; }
    public int PagerWeight { get; init; } = 40;
    public int EvictorWeight { get; init; } = 20;
    public int ThreadWeight { get; init; } = 40;
    public int RequestsPerThousand { get; init; } = 5;
    public int PressurePerThousand { get; init; } = 2;

    /// <summary>How often the pager takes the program to be computing, in rounds, and cleans.</summary>
    public int QuietPerThousand { get; init; }
    public int BusyPerMillion { get; init; }
    public int DelayPerMillion { get; init; }
    public int RequestsInFlight { get; init; } = 64;
    public bool DropsByProgram { get; init; }

    /// <summary>How often the program changes its address space itself (madvise, munmap, mremap), of which the pager is told; 0: it is not.</summary>
    public int ChangesPerThousand { get; init; }

    /// <summary>True: threads also touch what is being given up at the same time.</summary>
    public bool Rude { get; init; }

    /// <summary>The request of the reader or writer connection at which it ends; 0: never.</summary>
    public int ReaderEndsAt { get; init; }
    public int WriterEndsAt { get; init; }

    /// <summary>How often a connection ends while the sponsor lives; then both are made anew by a link. 0: there is no link.</summary>
    public int CutsPerMillion { get; init; }
    /// <summary>How often a segment is grown or shrunk from outside.</summary>
    public int OutsidePerThousand { get; init; }

    /// <summary>How often the pager dies in a round, and another goes on.</summary>
    public int DeathsPerMillion { get; init; }

    /// <summary>True: a pager that goes on does not know which slots others of the family have. For the test that this is noticed.</summary>
    public bool ForgetsFamily { get; init; }

    /// <summary>True: a pager that goes on does not carry out what the dead one had read. For the test that this is noticed.</summary>
    public bool ForgetsChanges { get; init; }

    /// <summary>How often one of several sponsors is lost, with a slab.</summary>
    public int LossesPerMillion { get; init; }
    public int CorruptPerMillion { get; init; }
    public int LostWakesPerMillion { get; init; }

    public bool TellsChanges => ChangesPerThousand > 0;

    /// <summary>True: the program maps its memory itself, and the pager takes it over.</summary>
    public bool Captures => TellsChanges && Seed % 4 == 0 && LossesPerMillion == 0;

    public bool Disconnects => ReaderEndsAt != 0 || WriterEndsAt != 0;

    public static SimulationSettings FromSeed(int seed)
    {
        var random = new Random(seed);
        bool takeCopies = random.Next(3) == 0;
        bool isRude = random.Next(3) == 0;
        bool disconnects = random.Next(4) == 0;
        bool readerEnds = random.Next(2) == 0;
        bool changes = !takeCopies && !isRude && seed % 2 == 0;
        return new SimulationSettings
        {
            Seed = seed,
            Threads = random.Next(1, 9),
            TakeCopies = takeCopies,
            Local = !takeCopies && random.Next(3) == 0 ? "1:4" : random.Next(2) == 0 ? "1MiB" : "2MiB",
            Prefetch = random.Next(4) switch { 0 => "none", 1 => "window", _ => "trend" },
            StagingPages = random.Next(2) == 0 ? 512 : 128,
            PagerWeight = random.Next(5, 60),
            EvictorWeight = random.Next(2, 40),
            ThreadWeight = random.Next(10, 80),
            RequestsPerThousand = random.Next(2) == 0 ? 2 : 20,
            PressurePerThousand = random.Next(2) == 0 ? 0 : 5,
            BusyPerMillion = random.Next(3) == 0 ? 50_000 : 0,
            DelayPerMillion = random.Next(2) == 0 ? 0 : 300_000,
            RequestsInFlight = random.Next(3) == 0 ? 4 : 64,
            DropsByProgram = !takeCopies && random.Next(4) == 0 && (isRude || seed % 2 != 0),
            Rude = isRude,
            ChangesPerThousand = changes ? 5 + (seed % 3 * 20) : 0,
            OutsidePerThousand = !changes && seed % 4 != 1 ? 6 : 0,
            QuietPerThousand = seed % 3 == 0 ? 0 : 30 + (seed % 7 * 60),
            CutsPerMillion = !disconnects && seed % 3 == 1 ? 20_000 : 0,
            DeathsPerMillion = !disconnects && seed % 3 != 1 && seed % 5 < 2 && seed % 7 != 3 ? 10_000 : 0,
            LossesPerMillion = !disconnects && seed % 7 == 3 && seed % 3 != 1 ? 1000 : 0,
            ReaderEndsAt = disconnects && readerEnds ? random.Next(1, 1000) : 0,
            WriterEndsAt = disconnects && !readerEnds ? random.Next(1, 200) : 0,
        };
    }
}
