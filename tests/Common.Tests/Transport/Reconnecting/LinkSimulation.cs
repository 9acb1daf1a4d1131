using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Transport.Reconnecting;

/// <summary>What one simulation does; all of it from the seed.</summary>
internal sealed record LinkSettings(int Seed, int BreakPerThousand, int FailPerThousand, int RefusePerMillion, int LostAt, bool IsTold, bool IsOneSided)
{
    public bool HasFence { get; init; } = true;

    public static LinkSettings FromSeed(int seed)
    {
        Random random = new(seed);
        return new LinkSettings(
            seed,
            random.Next(1, 30),
            random.Next(3) == 0 ? 0 : random.Next(300),
            random.Next(6) == 0 ? 200 : 0,
            random.Next(3) == 0 ? random.Next(LinkSimulation.Steps) : -1,
            random.Next(2) == 0,
            random.Next(2) == 0);
    }
}

/// <summary>
/// The real <see cref="DataLink"/> and its two connections over a <see cref="StragglingSponsor"/>, with a user that checks every completion: it
/// comes once, its data are what the model says, and nobody touches its buffer afterwards.
/// </summary>
internal sealed unsafe class LinkSimulation : IDisposable
{
    public const int Steps = 6000;
    private const int SettleSteps = 200_000;
    private const uint SlotCount = 24;

    private readonly LinkSettings _settings;
    private readonly Random _random;
    private readonly StragglingSponsor _sponsor;
    private readonly FakeTime _time = new();
    private readonly DataLink _link;
    private readonly ulong[] _model = new ulong[SlotCount];
    private readonly bool[] _busy = new bool[SlotCount];
    private readonly Dictionary<ulong, Request> _inFlight = [];
    private readonly List<PageBuffer> _idle = [.. Enumerable.Range(0, 2 * StragglingConnection.RequestsMax).Select(_ => PageBuffer.NewScribbled(3))];
    private ulong _lastCookie;
    private ulong _lastVersion;
    private bool _isRefused;

    /// <summary>After the last there is nothing that would wake the link's thread.</summary>
    private LinkStep _lastStep;

    private sealed record Request(int Connection, uint Slot, int Pages, bool IsWrite, ulong Version, PageBuffer Buffer);

    public LinkSimulation(LinkSettings settings)
    {
        _settings = settings;
        _random = new Random(settings.Seed ^ 0x5EED);
        _sponsor = new StragglingSponsor(_random, SlotCount) { HasFence = settings.HasFence, IsOneSided = settings.IsOneSided };
        _link = new DataLink(_sponsor, connections: 2, new DataLinkOptions(), _time);
        _sponsor.FailPerThousand = settings.FailPerThousand;
        _sponsor.RefusePerMillion = settings.RefusePerMillion;
    }

    public long Completed { get; private set; }

    public long Rebuilds => _link.Rebuilds;

    public bool IsLost => _link[0].IsBroken || _link[1].IsBroken;

    public void Run()
    {
        for (int i = 0; i < Steps; i++)
        {
            if (i == _settings.LostAt)
            {
                _sponsor.Lose(_settings.IsTold);
            }

            if (_random.Next(1000) < _settings.BreakPerThousand)
            {
                _sponsor.BreakOne();
            }

            Step(mayPost: true);
        }

        // A break now and then is enough to forgive no longer than the link does; from here on the network is good.
        _sponsor.FailPerThousand = 0;
        Settle();
        Check(_settings.LostAt < 0 || IsLost, "the sponsor is lost, the link is not");
        Check(IsLost == (_settings.LostAt >= 0 || _isRefused), "lost without a reason");
        ReadAllBack();
    }

    private void Step(bool mayPost)
    {
        switch (_random.Next(6))
        {
            case 0 when mayPost:
                Post();
                break;
            case 1:
                _link[_random.Next(2)].Submit();
                break;
            case 2:
                Take(_random.Next(2));
                break;
            case 3 when _lastStep != LinkStep.GivenUp:
                _lastStep = _link.Step();
                _time.Advance(_lastStep == LinkStep.Failed ? TimeSpan.FromMilliseconds(100) : TimeSpan.Zero);
                break;
            default:
                _sponsor.Serve();
                break;
        }
    }

    private void Post()
    {
        int pages = _random.Next(1, 4);
        uint slot = (uint)_random.Next((int)SlotCount - pages + 1);
        if (_busy.AsSpan((int)slot, pages).Contains(true) || _idle.Count == 0)
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

        int index = isWrite ? 1 : 0;
        ReconnectingDataConnection connection = _link[index];
        int free = connection.FreeRequests;
        bool posted = isWrite
            ? connection.TryPostWrite(++_lastCookie, 1, slot, pages, buffer.Memory)
            : connection.TryPostRead(++_lastCookie, 1, slot, pages, buffer.Memory);
        Check(posted == free > 0, $"{free} requests are free, posting was {posted}");
        if (!posted)
        {
            buffer.Scribble();
            return;
        }

        _idle.RemoveAt(place);
        _busy.AsSpan((int)slot, pages).Fill(true);
        _inFlight.Add(_lastCookie, new Request(index, slot, pages, isWrite, version, buffer));
    }

    private void Take(int index)
    {
        Span<DataCompletion> completions = stackalloc DataCompletion[_random.Next(1, 6)];
        ReconnectingDataConnection connection = _link[index];
        int done = connection.Poll(completions);
        foreach (DataCompletion completion in completions[..done])
        {
            Check(_inFlight.Remove(completion.Cookie, out Request? request), $"request {completion.Cookie} completed twice");
            Check(request!.Connection == index, "completed by the other connection");
            _isRefused |= completion.Status == DataStatus.Refused;
            Check(completion.Status == DataStatus.Done || connection.IsBroken, $"{completion.Status} by a connection that is not broken");
            End(request, completion.Status);
        }
    }

    private void End(Request request, DataStatus status)
    {
        Completed += status == DataStatus.Done ? 1 : 0;
        for (int i = 0; i < request.Pages; i++)
        {
            uint slot = request.Slot + (uint)i;

            // Not known what became of a WRITE that was given up: nobody looks at its slots again.
            _busy[slot] = request.IsWrite && status != DataStatus.Done;
            if (status == DataStatus.Done && request.IsWrite)
            {
                _model[slot] = request.Version;
            }
            else if (status == DataStatus.Done)
            {
                ulong found = *(ulong*)request.Buffer[i];
                Check(found == _model[slot], $"slot {slot} is version {found}, not {_model[slot]}");
            }
        }

        request.Buffer.Scribble();
        _idle.Add(request.Buffer);
    }

    private void Settle()
    {
        for (int i = 0; i < SettleSteps; i++)
        {
            Step(mayPost: false);
            if (_inFlight.Count == 0 && (_settings.LostAt < 0 || IsLost))
            {
                return;
            }
        }

        Check(false, $"{_inFlight.Count} requests never complete");
    }

    private void ReadAllBack()
    {
        // The sponsor's stragglers first: whatever still lies in an old socket.
        for (int i = 0; i < 5000; i++)
        {
            _sponsor.Serve();
        }

        _idle.ForEach(CheckUntouched);
        for (uint slot = 0; slot < SlotCount; slot++)
        {
            Check(_busy[slot] || _sponsor.Slots[slot] == _model[slot], $"slot {slot} ends as {_sponsor.Slots[slot]}, not {_model[slot]}");
        }
    }

    private void Check(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"{otherwise}\n{_settings}\nreplay: HECA_SEED={_settings.Seed} "
                + $"tests/Common.Tests/bin/Release/net10.0/Common.Tests -class {typeof(LinkSimulationTests).FullName}");
        }
    }

    private void CheckUntouched(PageBuffer buffer) => Check(buffer.IsUntouched, "a buffer was written after its request had completed");

    public void Dispose()
    {
        _link.Dispose();
        _idle.ForEach(buffer => buffer.Dispose());
        foreach (Request request in _inFlight.Values)
        {
            request.Buffer.Dispose();
        }
    }

    private sealed class FakeTime : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now;

        public void Advance(TimeSpan time) => _now += time.Ticks;
    }
}
