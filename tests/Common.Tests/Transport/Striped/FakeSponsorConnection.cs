using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>The memory of a sponsor: of each page the number at its start.</summary>
internal sealed class FakeMemory
{
    private readonly Dictionary<ulong, ulong[]> _slabs = [];
    private ulong _last;

    public ulong Add(uint slots)
    {
        _slabs.Add(++_last, new ulong[slots]);
        return _last;
    }

    public ulong[] this[ulong slab] => _slabs[slab];
}

/// <summary>
/// A connection that takes its time, goes away and comes back, falls silent, and ends, as it is told. A request that was in flight when it went away may take effect at any
/// time until it is back, and is repeated then unless it was withdrawn.
/// </summary>
internal sealed unsafe class FakeSponsorConnection(FakeMemory memory, Random random) : ISponsorConnection
{
    public const int RequestsMax = 12;

    private readonly List<Request> _inFlight = [];
    private readonly List<(Request Request, ulong[] Contents)> _stragglers = [];

    private sealed record Request(ulong Cookie, ulong Slab, uint Slot, int Pages, nint Buffer, bool IsWrite);

    public string Transport => "fake";

    public int PagesPerRequestMax => 3;

    public int FreeRequests => IsBroken ? 0 : RequestsMax - _inFlight.Count;

    public bool IsBroken { get; private set; }

    public bool IsAway { get; private set; }

    public bool IsSilent { get; set; }

    /// <summary>How often a bit of a page that is read changes on its way.</summary>
    public int CorruptPerThousand { get; init; }

    public int WaitDescriptor => -1;

    public uint WaitEvents => 0;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(new Request(cookie, slab, slot, pages, (nint)buffer, false));

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(new Request(cookie, slab, slot, pages, (nint)buffer, true));

    public void Submit()
    {
    }

    public int Poll(Span<DataCompletion> completions)
    {
        int done = 0;
        while (done < completions.Length && _inFlight.Count > 0 && !IsAway && (IsBroken || (!IsSilent && random.Next(3) > 0)))
        {
            int chosen = random.Next(_inFlight.Count);
            Request request = _inFlight[chosen];
            _inFlight.RemoveAt(chosen);
            if (!IsBroken)
            {
                Execute(request);
            }

            completions[done++] = new DataCompletion(request.Cookie, IsBroken ? DataStatus.Disconnected : DataStatus.Done);
        }

        return done;
    }

    public int Withdraw(Span<ulong> cookies)
    {
        int count = IsAway ? Math.Min(cookies.Length, _inFlight.Count) : 0;
        for (int i = 0; i < count; i++)
        {
            cookies[i] = _inFlight[i].Cookie;
        }

        _inFlight.RemoveRange(0, count);
        return count;
    }

    public void Leave(string why) => GoAway();

    public void GoAway()
    {
        if (IsAway || IsBroken)
        {
            return;
        }

        IsAway = true;
        foreach (Request request in _inFlight.Where(request => request.IsWrite))
        {
            ulong[] contents = new ulong[request.Pages];
            for (int i = 0; i < request.Pages; i++)
            {
                contents[i] = *(ulong*)(request.Buffer + (i << PageSize.Shift));
            }

            _stragglers.Add((request, contents));
        }
    }

    /// <summary>What was sent before takes effect now, or a part of it.</summary>
    public void Straggle()
    {
        if (_stragglers.Count > 0)
        {
            int chosen = random.Next(_stragglers.Count);
            (Request request, ulong[] contents) = _stragglers[chosen];
            _stragglers.RemoveAt(chosen);
            contents.CopyTo(memory[request.Slab], request.Slot);
        }
    }

    public void Return()
    {
        IsAway = false;
        _stragglers.Clear();
    }

    public void Lose()
    {
        IsAway = false;
        IsBroken = true;
    }

    public void Dispose()
    {
    }

    private bool TryPost(Request request)
    {
        if (FreeRequests == 0)
        {
            return false;
        }

        _inFlight.Add(request);
        return true;
    }

    private void Execute(Request request)
    {
        ulong[] slots = memory[request.Slab];
        for (int i = 0; i < request.Pages; i++)
        {
            ulong* page = (ulong*)(request.Buffer + (i << PageSize.Shift));
            if (request.IsWrite)
            {
                slots[request.Slot + i] = *page;
            }
            else
            {
                *page = slots[request.Slot + i] ^ (random.Next(1000) < CorruptPerThousand ? 1UL << random.Next(64) : 0);
            }
        }
    }
}
