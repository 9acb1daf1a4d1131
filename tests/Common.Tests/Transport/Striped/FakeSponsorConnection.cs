using System.Buffers.Binary;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>The memory of a sponsor.</summary>
internal sealed class FakeMemory
{
    private readonly Dictionary<ulong, byte[]> _slabs = [];
    private ulong _last;

    public ulong Add(uint slots)
    {
        _slabs.Add(++_last, new byte[slots << PageSize.Shift]);
        return _last;
    }

    /// <summary>Throws for a slab that was given back: a sponsor would end the connection.</summary>
    public Span<byte> Pages(ulong slab, uint slot, int pages = 1) => _slabs.TryGetValue(slab, out byte[]? memory)
        ? memory.AsSpan((int)slot << PageSize.Shift, pages << PageSize.Shift)
        : throw new InvalidOperationException("a request is about a slab that was given back");

    /// <summary>The number at the start of a page.</summary>
    public ulong this[ulong slab, uint slot] => BinaryPrimitives.ReadUInt64LittleEndian(Pages(slab, slot));

    public void Flip(ulong slab, uint slot, int bit) => Pages(slab, slot)[bit / 8] ^= (byte)(1 << (bit % 8));

    /// <summary>What is still on its way over a connection that has ended is refused, and nobody notices.</summary>
    public bool Has(ulong slab) => _slabs.ContainsKey(slab);

    public void Free(ulong slab) => _slabs.Remove(slab);
}

/// <summary>
/// A connection that takes its time, goes away and comes back, falls silent, and ends, as it is told. A request that was in flight when it went away may take effect at any
/// time until it is back, and is repeated then unless it was withdrawn. What a READ brings may be in its buffer before the READ is done; where the connection is one-sided also once it is
/// away, until the device has told its end.
/// </summary>
internal sealed unsafe class FakeSponsorConnection(FakeMemory memory, Random random) : ISponsorConnection
{
    public const int RequestsMax = 12;

    private readonly List<Request> _inFlight = [];
    private readonly List<(Request Request, byte[] Contents)> _stragglers = [];
    private bool _isInUse;

    private sealed record Request(ulong Cookie, ulong Slab, uint Slot, int Pages, nint Buffer, bool IsWrite);

    public string Transport => "fake";

    public int PagesPerRequestMax { get; init; } = 3;

    public int FreeRequests => IsBroken ? 0 : RequestsMax - _inFlight.Count;

    public bool IsBroken { get; private set; }

    public bool IsAway { get; private set; }

    public bool IsSilent { get; set; }

    /// <summary>Answers come one in twenty times that they are looked for.</summary>
    public bool IsSlow { get; set; }

    public bool IsOneSided { get; init; }

    /// <summary>How often a bit of a page that is read changes on its way.</summary>
    public int CorruptPerThousand { get; set; }

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
        if (IsSlow && !IsBroken && random.Next(20) > 0)
        {
            return 0;
        }

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
        int count = IsAway && !_isInUse ? Math.Min(cookies.Length, _inFlight.Count) : 0;
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
        _isInUse = IsOneSided;
        foreach (Request request in _inFlight.Where(request => request.IsWrite))
        {
            _stragglers.Add((request, new ReadOnlySpan<byte>((byte*)request.Buffer, request.Pages << PageSize.Shift).ToArray()));
        }
    }

    /// <summary>What was sent before takes effect now, or a part of it.</summary>
    public void Straggle()
    {
        if (_stragglers.Count > 0)
        {
            int chosen = random.Next(_stragglers.Count);
            (Request request, byte[] contents) = _stragglers[chosen];
            _stragglers.RemoveAt(chosen);
            if (memory.Has(request.Slab))
            {
                contents.CopyTo(memory.Pages(request.Slab, request.Slot, request.Pages));
            }
        }
    }

    /// <summary>A READ's data are there, and it is not told yet; or the device has told the end of a connection that is away.</summary>
    public void Land()
    {
        if (_inFlight.Count > 0 && !IsBroken && (!IsAway || _isInUse) && _inFlight[random.Next(_inFlight.Count)] is { IsWrite: false } request)
        {
            Execute(request);
        }

        _isInUse &= random.Next(4) > 0;
    }

    public void Return()
    {
        _isInUse = false;
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
        Span<byte> there = memory.Pages(request.Slab, request.Slot, request.Pages), here = new((byte*)request.Buffer, request.Pages << PageSize.Shift);
        if (request.IsWrite)
        {
            here.CopyTo(there);
            return;
        }

        there.CopyTo(here);
        for (int i = 0; i < request.Pages; i++)
        {
            if (random.Next(1000) < CorruptPerThousand)
            {
                int bit = random.Next(PageSize.Bytes * 8);
                here[(i << PageSize.Shift) + (bit / 8)] ^= (byte)(1 << (bit % 8));
            }
        }
    }
}
