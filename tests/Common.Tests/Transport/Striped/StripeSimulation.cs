using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>What one simulation does; all of it from the seed.</summary>
internal sealed record StripeSettings(int Seed, int Sponsors, int Replicas, int Stripes, ReadPolicy Policy, int AwayPerThousand, int SilentPerThousand, int LosePerThousand, int CorruptPerThousand)
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
            random.Next(2) * random.Next(60));
    }
}

/// <summary>
/// The real <see cref="SponsorSet"/>, its two connections and its copier over sponsors that come and go, with a user that checks every completion: it comes once, its data are the
/// newest version, nobody touches its buffer afterwards, and a request fails only where its stripe is lost.
/// </summary>
internal sealed unsafe class StripeSimulation : IDisposable
{
    public const int Steps = 5000;
    private const int SettleSteps = 300_000;
    private const uint SlotCount = 24;

    private readonly StripeSettings _settings;
    private readonly Random _random;
    private readonly SponsorSet _set;
    private readonly List<FakeSponsor> _sponsors = [];
    private readonly Dictionary<(ulong Stripe, uint Slot), ulong> _model = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _busy = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _unknown = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _damaged = [];
    private readonly Dictionary<ulong, Request> _inFlight = [];
    private readonly List<PageBuffer> _idle = [.. Enumerable.Range(0, 64).Select(_ => PageBuffer.NewScribbled(3))];
    private long _now;
    private ulong _lastCookie;
    private ulong _lastVersion;
    private (ulong Stripe, int From) _moving = (0, -1);

    private sealed record Request(ulong Stripe, uint Slot, int Pages, bool IsWrite, ulong Version, PageBuffer Buffer);

    private sealed class FakeSponsor(Random random, int corruptPerThousand)
    {
        public FakeMemory Memory { get; } = new();

        public FakeSponsorConnection Reader => field ??= new(Memory, random) { CorruptPerThousand = corruptPerThousand };

        public FakeSponsorConnection Writer => field ??= new(Memory, random);

        public int Number { get; set; }

        public bool IsLost => Reader.IsBroken;
    }

    public StripeSimulation(StripeSettings settings)
    {
        _settings = settings;
        _random = new Random(settings.Seed ^ 0x5EED);
        _set = new SponsorSet(settings.Policy, silenceMsMax: 300, () => _now)
        {
            OnReplicaLost = (_, _, _) => ReplicasLost++,
            OnStripeLost = _ => StripesLost++,
            OnCorrupted = _ => Corrupted++,
        };
        _set.Copier = new StripeCopier(_set, FindUsed) { OnFilled = NoteFilled };
        for (int i = 0; i < settings.Sponsors; i++)
        {
            Join();
        }

        for (int i = 0; i < settings.Stripes; i++)
        {
            FakeSponsor[] chosen = [.. _sponsors.OrderBy(_ => _random.Next()).Take(settings.Replicas)];
            _ = _set.Stripes.Add(SlotCount, [.. chosen.Select(sponsor => (sponsor.Number, sponsor.Memory.Add(SlotCount)))]);
        }
    }

    public long Completed { get; private set; }

    public int ReplicasLost { get; private set; }

    public int StripesLost { get; private set; }

    public int Filled { get; private set; }

    public int Corrupted { get; private set; }

    /// <summary>Stripes that have gone from one sponsor to another.</summary>
    public int Moved { get; private set; }

    public void Run()
    {
        for (int i = 0; i < Steps; i++)
        {
            Upset();
            Step(mayPost: true);
        }

        foreach (FakeSponsor sponsor in _sponsors)
        {
            (sponsor.Reader.IsSilent, sponsor.Writer.IsSilent) = (false, false);
            Return(sponsor);
        }

        Settle();
        Check(StripesLost == 0 || _settings.LosePerThousand > 0, "a stripe is lost, and no sponsor was");
        ReadAllBack();
    }

    public void Dispose()
    {
        _set.Copier!.Dispose();
        _set.Reader.Dispose();
        _set.Writer.Dispose();
        _set.Stripes.Dispose();
        _idle.ForEach(buffer => buffer.Dispose());
        foreach (Request request in _inFlight.Values)
        {
            request.Buffer.Dispose();
        }
    }

    private void Join()
    {
        var sponsor = new FakeSponsor(_random, _settings.CorruptPerThousand);
        sponsor.Number = _set.Add(sponsor.Reader, sponsor.Writer);
        Check(sponsor.Number >= 0, "there is no number left");
        _sponsors.Add(sponsor);
    }

    /// <summary>Something happens to a sponsor, or to a stripe that lacks a replica.</summary>
    private void Upset()
    {
        if (_sponsors.Count > 0)
        {
            FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
            if (_random.Next(1000) < _settings.AwayPerThousand)
            {
                sponsor.Reader.GoAway();
                sponsor.Writer.GoAway();
            }

            if (_random.Next(1000) < _settings.SilentPerThousand)
            {
                (sponsor.Reader.IsSilent, sponsor.Writer.IsSilent) = (true, true);
            }

            if (_random.Next(1000) < _settings.LosePerThousand)
            {
                sponsor.Reader.Lose();
                sponsor.Writer.Lose();
            }
        }

        if (_random.Next(25) == 0)
        {
            FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
            (sponsor.Reader.IsSilent, sponsor.Writer.IsSilent) = (false, false);
            Return(sponsor);
        }

        if (_random.Next(100) == 0)
        {
            FakeSponsor lost = _sponsors[_random.Next(_sponsors.Count)];
            if (lost.IsLost && _set.IsQuiet(lost.Number, long.MaxValue) && _set.IsLost(lost.Number))
            {
                _set.Remove(lost.Number);
                _ = _sponsors.Remove(lost);
                Join();
            }
        }

        if (_random.Next(20) == 0)
        {
            Refill();
        }

        if (_random.Next(40) == 0)
        {
            Move();
        }

        if (_settings.CorruptPerThousand > 0 && _random.Next(100) == 0)
        {
            Damage();
        }
    }

    /// <summary>A bit changes where it lies, and stays so.</summary>
    private void Damage()
    {
        (ulong Stripe, uint Slot) slot = ((ulong)_random.Next(_settings.Stripes), (uint)_random.Next((int)SlotCount));
        Replica[] live = [.. _set.Stripes[slot.Stripe]!.Replicas.Where(replica => replica.State == ReplicaState.Live)];
        if (_model.ContainsKey(slot) && !_busy.Contains(slot) && live.Length > 0)
        {
            Replica replica = live[_random.Next(live.Length)];
            _sponsors.Single(sponsor => sponsor.Number == replica.Sponsor).Memory[replica.Slab][slot.Slot] ^= 1UL << _random.Next(64);
            _ = _damaged.Add(slot);
        }
    }

    /// <summary>A replica more than there are to be, in place of one that is dropped when the new one has everything.</summary>
    private void Move()
    {
        ulong number = (ulong)_random.Next(_settings.Stripes);
        if (_set.Stripes[number] is not { IsLost: false } stripe || stripe.Count(ReplicaState.Live) < _settings.Replicas || _set.Copier!.IsBusy)
        {
            return;
        }

        Replica[] live = [.. stripe.Replicas.Where(replica => replica.State == ReplicaState.Live)];
        FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
        if (!sponsor.IsLost && _set.TryFill(number, SlotCount, sponsor.Number, sponsor.Memory.Add(SlotCount)))
        {
            _moving = (number, live[_random.Next(live.Length)].Sponsor);
        }
    }

    private void NoteFilled(ulong stripe, int sponsor)
    {
        Filled++;
        (ulong moving, int from) = _moving;
        _moving = (0, -1);
        if (from >= 0 && moving == stripe && _set.Stripes[stripe]!.Count(ReplicaState.Live) > _settings.Replicas)
        {
            Moved++;
            _set.DropReplica(stripe, from);
        }
    }

    private void Refill()
    {
        ulong number = (ulong)_random.Next(_settings.Stripes);
        if (_set.Stripes[number] is not { IsLost: false } stripe || StripeTable.ReplicasMax - stripe.Count(ReplicaState.None) >= _settings.Replicas)
        {
            return;
        }

        FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
        if (!sponsor.IsLost)
        {
            _ = _set.TryFill(number, SlotCount, sponsor.Number, sponsor.Memory.Add(SlotCount));
        }
    }

    /// <summary>A sponsor is away with both its connections or with none.</summary>
    private static void Return(FakeSponsor sponsor)
    {
        sponsor.Reader.GoAway();
        sponsor.Writer.GoAway();
        if (!sponsor.IsLost)
        {
            sponsor.Reader.Return();
            sponsor.Writer.Return();
        }
    }

    private void Step(bool mayPost)
    {
        _now += _random.Next(12);
        switch (_random.Next(6))
        {
            case 0 or 1 when mayPost:
                Post();
                break;
            case 2:
                _set.Writer.Submit();
                _set.Reader.Submit();
                break;
            case 3:
                Take(_set.Reader);
                break;
            case 4:
                Take(_set.Writer);
                break;
            default:
                if (_sponsors.Count > 0)
                {
                    _sponsors[_random.Next(_sponsors.Count)].Writer.Straggle();
                }

                break;
        }
    }

    private void Post()
    {
        int pages = _random.Next(1, 4);
        ulong stripe = (ulong)_random.Next(_settings.Stripes);
        uint slot = (uint)_random.Next((int)SlotCount - pages + 1);
        if (Slots(stripe, slot, pages).Any(_busy.Contains) || _idle.Count == 0)
        {
            return;
        }

        int place = _random.Next(_idle.Count);
        PageBuffer buffer = _idle[place];
        CheckUntouched(buffer);
        bool isWrite = _random.Next(2) == 0;
        ulong version = ++_lastVersion;
        for (int i = 0; isWrite && i < pages; i++)
        {
            *(ulong*)buffer[i] = version;
        }

        bool posted = isWrite
            ? _set.Writer.TryPostWrite(++_lastCookie, stripe, slot, pages, buffer.Memory)
            : _set.Reader.TryPostRead(++_lastCookie, stripe, slot, pages, buffer.Memory);
        if (!posted)
        {
            buffer.Scribble();
            return;
        }

        _idle.RemoveAt(place);
        _busy.UnionWith(Slots(stripe, slot, pages));
        _inFlight.Add(_lastCookie, new Request(stripe, slot, pages, isWrite, version, buffer));
    }

    private void Take(StripedConnection connection)
    {
        Span<DataCompletion> completions = stackalloc DataCompletion[_random.Next(1, 6)];
        int done = connection.Poll(completions);
        foreach (DataCompletion completion in completions[..done])
        {
            Check(_inFlight.Remove(completion.Cookie, out Request? request), $"request {completion.Cookie} completed twice");
            Check(request!.IsWrite == (connection == _set.Writer), "completed by the other connection");
            Check(completion.Status == DataStatus.Done || _set.Stripes[request.Stripe]!.IsLost || (completion.Status == DataStatus.Lost && !request.IsWrite && Corrupted > 2),
                $"{completion.Status}, and the stripe is not lost");
            End(request, completion.Status == DataStatus.Done);
        }
    }

    private void End(Request request, bool isDone)
    {
        Completed += isDone ? 1 : 0;
        int page = 0;
        foreach ((ulong, uint) slot in Slots(request.Stripe, request.Slot, request.Pages))
        {
            _ = _busy.Remove(slot);
            if (isDone && request.IsWrite)
            {
                _model[slot] = request.Version;
            }
            else if (isDone)
            {
                ulong found = *(ulong*)request.Buffer[page], expected = _model.GetValueOrDefault(slot);
                bool isWritten = _model.ContainsKey(slot) || _settings.CorruptPerThousand == 0;
                Check(found == expected || _unknown.Contains(slot) || !isWritten, $"slot {slot} is version {found}, not {expected}");
            }
            else if (request.IsWrite)
            {
                _ = _unknown.Add(slot);
            }

            page++;
        }

        request.Buffer.Scribble();
        _idle.Add(request.Buffer);
    }

    private void Settle()
    {
        for (int i = 0; i < SettleSteps; i++)
        {
            Step(mayPost: false);
            if (i % 1000 == 999)
            {
                // One that was left for its silence.
                _sponsors.Where(sponsor => sponsor.Reader.IsAway || sponsor.Writer.IsAway).ToList().ForEach(Return);
            }

            if (_inFlight.Count == 0 && !_set.Copier!.IsBusy)
            {
                return;
            }
        }

        Check(false, $"{_inFlight.Count} requests never complete; the copier is {(_set.Copier!.IsBusy ? "" : "not ")}busy");
    }

    private void ReadAllBack()
    {
        _idle.ForEach(CheckUntouched);
        for (ulong stripe = 0; stripe < (ulong)_settings.Stripes; stripe++)
        {
            // Every replica, not only the one that would be read.
            foreach (Replica replica in _set.Stripes[stripe]!.Replicas.Where(replica => replica.State == ReplicaState.Live))
            {
                ulong[] slots = _sponsors.Single(sponsor => sponsor.Number == replica.Sponsor).Memory[replica.Slab];
                for (uint slot = 0; slot < SlotCount; slot++)
                {
                    Check(_unknown.Contains((stripe, slot)) || _damaged.Contains((stripe, slot)) || !_model.ContainsKey((stripe, slot)) || slots[slot] == _model.GetValueOrDefault((stripe, slot)),
                        $"slot {slot} of stripe {stripe} ends as {slots[slot]} on sponsor {replica.Sponsor}, not {_model.GetValueOrDefault((stripe, slot))}");
                }
            }
        }
    }

    private int FindUsed(ulong stripe, uint from, int most, out uint first)
    {
        // Written to, or about to be.
        bool IsUsed(uint slot) => _model.ContainsKey((stripe, slot)) || _busy.Contains((stripe, slot));
        first = from;
        while (first < SlotCount && !IsUsed(first))
        {
            first++;
        }

        int run = 0;
        while (run < Math.Min(most, 3) && first + run < SlotCount && IsUsed(first + (uint)run))
        {
            run++;
        }

        return run;
    }

    private static IEnumerable<(ulong, uint)> Slots(ulong stripe, uint slot, int pages) => Enumerable.Range(0, pages).Select(i => (stripe, slot + (uint)i));

    private void Check(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"{otherwise}\n{_settings}\nreplay: HECA_SEED={_settings.Seed} "
                + $"tests/Common.Tests/bin/Release/net10.0/Common.Tests -class {typeof(StripeSimulationTests).FullName}");
        }
    }

    private void CheckUntouched(PageBuffer buffer) => Check(buffer.IsUntouched, "a buffer was written after its request had completed");
}
