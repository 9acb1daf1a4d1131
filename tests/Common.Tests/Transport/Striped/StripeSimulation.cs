using Hecatonchire.Transport;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>
/// The real <see cref="SponsorSet"/>, its two connections and its copier over sponsors that come and go, with a user that checks every completion: it comes once, its data are the
/// newest version, nobody touches its buffer afterwards, and a request fails only where its stripe is lost. A buffer that a completion has named is kept for a while, and must not change.
/// </summary>
internal sealed unsafe partial class StripeSimulation : IDisposable
{
    public const int Steps = 5000;
    private const int SettleSteps = 300_000;
    private const uint SlotCount = 24;

    private readonly StripeSettings _settings;
    private readonly Random _random;
    private readonly SealFile? _seals;
    private readonly SponsorSet _set;
    private readonly List<FakeSponsor> _sponsors = [];
    private readonly Dictionary<(ulong Stripe, uint Slot), ulong> _model = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _busy = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _unknown = [];
    private readonly HashSet<(ulong Stripe, uint Slot)> _damaged = [];
    private readonly Dictionary<ulong, Request> _inFlight = [];
    private readonly HashSet<(ulong Stripe, uint Slot, int Sponsor)> _repaired = [];
    private readonly List<(nint Buffer, ulong Contents)> _named = [];
    private readonly List<(FakeSponsor Sponsor, ulong Slab, long At)> _toFree = [];
    private readonly List<PageBuffer> _idle = [.. Enumerable.Range(0, 64).Select(_ => PageBuffer.NewScribbled(3))];
    private long _now;
    private ulong _lastCookie;
    private ulong _lastVersion;
    private (ulong Stripe, int From) _moving = (0, -1);

    private sealed record Request(ulong Stripe, uint Slot, int Pages, bool IsWrite, ulong Version, PageBuffer Buffer);

    private sealed class FakeSponsor(Random random, int corruptPerThousand)
    {
        public FakeMemory Memory { get; } = new();

        public FakeSponsorConnection Reader => field ??= new(Memory, random) { CorruptPerThousand = corruptPerThousand, IsOneSided = random.Next(2) == 0 };

        public FakeSponsorConnection Writer => field ??= new(Memory, random);

        public int Number { get; set; }

        public bool IsLost => Reader.IsBroken;
    }

    public StripeSimulation(StripeSettings settings)
    {
        _settings = settings;
        _random = new Random(settings.Seed ^ 0x5EED);
        // Far more than a pager would: each third read at most, those that take longer than half of them.
        Hedging? hedging = settings.Hedges ? new Hedging { Share = 0.5, ReadsPerHedge = 3, Window = 16 } : null;
        _seals = settings.Seals ? SealFile.Create(null, Guid.Empty) : null;
        _set = new SponsorSet(settings.Policy, silenceMsMax: 300, hedging, _seals, () => _now, () => _now * 1000)
        {
            OnReplicaLost = (_, _, _) => ReplicasLost++,
            OnStripeLost = _ => StripesLost++,
            OnCorrupted = _ => Corrupted++,
        };
        _set.Copier = new StripeCopier(_set, FindUsed) { OnFilled = NoteFilled };
        _set.Repair = new StripeRepair(_set) { OnRepaired = NoteRepaired };
        for (int i = 0; i < settings.Sponsors; i++)
        {
            Join();
        }

        for (int i = 0; i < settings.Stripes; i++)
        {
            FakeSponsor[] chosen = [.. _sponsors.OrderBy(_ => _random.Next()).Take(settings.Replicas)];
            _ = AddStripe(chosen);
        }
    }

    public long Completed { get; private set; }

    public int ReplicasLost { get; private set; }

    public int StripesLost { get; private set; }

    public int Filled { get; private set; }

    public int Corrupted { get; private set; }

    /// <summary>Pages written anew where they were wrong.</summary>
    public int Repaired { get; private set; }

    public long Hedged => _set.Reader.ReadsHedged;

    public long HedgesWon => _set.Reader.HedgesWon;

    /// <summary>Reads of sealed pages that ended well.</summary>
    public long Opened { get; private set; }

    /// <summary>Stripes that were given back and had anew.</summary>
    public int Replaced { get; private set; }

    /// <summary>Stripes that have gone from one sponsor to another.</summary>
    public int Moved { get; private set; }

    public void Run()
    {
        for (int i = 0; i < Steps; i++)
        {
            Upset();
            Step(mayPost: true);
            if (i % 50 == 0 || _set.Repair!.IsBusy)
            {
                CheckReplicas();
            }
        }

        foreach (FakeSponsor sponsor in _sponsors)
        {
            Calm(sponsor);
            Return(sponsor);
        }

        Settle();
        Check(StripesLost == 0 || _settings.LosePerThousand > 0, "a stripe is lost, and no sponsor was");
        Check(Corrupted == 0 || _settings.CorruptPerThousand > 0, "what came was wrong, and nothing made it so");
        _named.ToList().ForEach(_ => ReleaseNamed());
        _idle.ForEach(CheckUntouched);
        CheckReplicas();
    }

    public void Dispose()
    {
        _set.Dispose();
        _seals?.Dispose();
        _idle.ForEach(buffer => buffer.Dispose());
        foreach (Request request in _inFlight.Values)
        {
            request.Buffer.Dispose();
        }
    }

    private ulong AddStripe(FakeSponsor[] chosen)
    {
        Check(_set.Stripes.TryPrepare(SlotCount) == 0, "there is no memory for a stripe");
        return _set.Stripes.Add(SlotCount, [.. chosen.Select(sponsor => (sponsor.Number, sponsor.Memory.Add(SlotCount)))]);
    }

    private void Join()
    {
        var sponsor = new FakeSponsor(_random, _settings.CorruptPerThousand);
        sponsor.Number = _set.Add(sponsor.Reader, sponsor.Writer);
        Check(sponsor.Number >= 0, "there is no number left");
        _sponsors.Add(sponsor);
    }

    private void Step(bool mayPost)
    {
        _now += _random.Next(12);
        switch (_random.Next(8))
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
            case 5 when _sponsors.Count > 0:
                _sponsors[_random.Next(_sponsors.Count)].Reader.Land();
                break;
            case 6:
                ReleaseNamed();
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
        // Of a slot that was never written to nothing can be opened, and a pager does not ask for it.
        bool isWrite = _random.Next(2) == 0 || (_settings.Seals && !Slots(stripe, slot, pages).All(_model.ContainsKey));
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
            Check(completion.Buffer == null || (completion.Status == DataStatus.Done && !request.IsWrite && request.Pages == 1 && request.Buffer.IsUntouched),
                "a buffer is named, and another was written to, or none should be");
            if (completion.Buffer != null)
            {
                _named.Add(((nint)completion.Buffer, *(ulong*)completion.Buffer));
            }

            End(request, completion.Status == DataStatus.Done, completion.Buffer);
        }
    }

    private void End(Request request, bool isDone, byte* named)
    {
        Completed += isDone ? 1 : 0;
        Opened += isDone && !request.IsWrite && _settings.Seals ? 1 : 0;
        int page = 0;
        foreach ((ulong, uint) slot in Slots(request.Stripe, request.Slot, request.Pages))
        {
            _ = _busy.Remove(slot);
            if (isDone && request.IsWrite)
            {
                _model[slot] = request.Version;
                _ = _damaged.Remove(slot);
            }
            else if (isDone)
            {
                ulong found = *(ulong*)(named == null ? request.Buffer[page] : named), expected = _model.GetValueOrDefault(slot);
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

    /// <summary>Gives a buffer back that a completion has named.</summary>
    private void ReleaseNamed()
    {
        if (_named.Count > 0)
        {
            int chosen = _random.Next(_named.Count);
            (nint buffer, ulong contents) = _named[chosen];
            _named.RemoveAt(chosen);
            Check(*(ulong*)buffer == contents, "a buffer that was named was written to before it was given back");
            *(ulong*)buffer = ~0UL;
            _set.Reader.Release((byte*)buffer);
        }
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

            if (_inFlight.Count == 0 && !_set.Copier!.IsBusy && !_set.Repair!.IsBusy)
            {
                return;
            }
        }

        Check(false, $"{_inFlight.Count} requests never complete; the copier is {(_set.Copier!.IsBusy ? "" : "not ")}busy, the repair {(_set.Repair!.IsBusy ? "" : "not ")}");
    }

    /// <summary>Every replica, not only the one that would be read, has what was acknowledged, wherever nothing is under way.</summary>
    private void CheckReplicas()
    {
        for (ulong stripe = 0; stripe < (ulong)_settings.Stripes; stripe++)
        {
            foreach (Replica replica in _set.Stripes[stripe]!.Replicas.Where(replica => replica.State == ReplicaState.Live))
            {
                FakeMemory memory = _sponsors.Single(sponsor => sponsor.Number == replica.Sponsor).Memory;
                for (uint slot = 0; slot < SlotCount; slot++)
                {
                    bool isKnown = _model.TryGetValue((stripe, slot), out ulong expected) && !_busy.Contains((stripe, slot)) && !_unknown.Contains((stripe, slot))
                        && (!_damaged.Contains((stripe, slot)) || _repaired.Contains((stripe, slot, replica.Sponsor)));
                    Check(!isKnown || Holds(stripe, slot, memory, replica.Slab, expected), $"slot {slot} of stripe {stripe} is {memory[replica.Slab, slot]} on sponsor {replica.Sponsor}, not {expected}");
                }
            }
        }
    }

    private bool Holds(ulong stripe, uint slot, FakeMemory memory, ulong slab, ulong version)
    {
        if (_set.Sealer is not { } sealer)
        {
            return memory[slab, slot] == version;
        }

        fixed (byte* page = memory.Pages(slab, slot).ToArray())
        {
            return sealer.TryOpen(_set.Stripes[stripe]!.Seal, slot, page) && *(ulong*)page == version;
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
