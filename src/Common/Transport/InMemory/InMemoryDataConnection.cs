using Hecatonchire.Units;

namespace Hecatonchire.Transport.InMemory;

/// <summary>
/// The reference for what a data connection means. A request takes effect when its completion is delivered, which is as late as
/// the contract allows: a caller that reuses a buffer too early gets caught. With a seed, completions (and so effects) come
/// in a shuffled order; without, in the order of the requests.
/// </summary>
internal sealed unsafe class InMemoryDataConnection : IDataConnection
{
    private readonly InMemorySponsor _sponsor;
    private readonly Random? _shuffle;
    private readonly Request[] _requests;
    private int _count;
    private int _submitted;

    private struct Request
    {
        public ulong Cookie;
        public ulong Slab;
        public byte* Buffer;
        public uint Slot;
        public int Pages;
        public bool IsWrite;
    }

    public InMemoryDataConnection(
        InMemorySponsor sponsor, int? shuffleSeed = null, int requestsInFlightMax = 1024, int pagesPerRequestMax = 256)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(requestsInFlightMax, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(pagesPerRequestMax, 1);
        _sponsor = sponsor;
        _shuffle = shuffleSeed is int seed ? new Random(seed) : null;
        _requests = new Request[requestsInFlightMax];
        PagesPerRequestMax = pagesPerRequestMax;
    }

    public string Transport => "memory";

    public int PagesPerRequestMax { get; }

    public int FreeRequests => IsBroken ? 0 : _requests.Length - _count;

    public bool IsBroken { get; private set; }

    public int WaitDescriptor => -1;

    public uint WaitEvents => 0;

    /// <summary>Ends the connection as the death of the sponsor would.</summary>
    public void Break() => IsBroken = true;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isWrite: false);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isWrite: true);

    private bool TryPost(ulong cookie, ulong slab, uint slot, int pages, byte* buffer, bool isWrite)
    {
        if (IsBroken || _count == _requests.Length || pages < 1 || pages > PagesPerRequestMax)
        {
            return false;
        }

        _requests[_count++] = new Request
        {
            Cookie = cookie,
            Slab = slab,
            Buffer = buffer,
            Slot = slot,
            Pages = pages,
            IsWrite = isWrite,
        };
        return true;
    }

    public void Submit() => _submitted = _count;

    public int Poll(Span<DataCompletion> completions)
    {
        int done = 0;
        int first = 0;
        while (done < completions.Length && (IsBroken ? _count : _submitted) - first > 0)
        {
            if (_shuffle is not null && !IsBroken)
            {
                int chosen = _shuffle.Next(first, _submitted);
                (_requests[first], _requests[chosen]) = (_requests[chosen], _requests[first]);
            }

            ref Request request = ref _requests[first++];
            DataStatus status = IsBroken ? DataStatus.Disconnected : Execute(request);
            completions[done++] = new DataCompletion(request.Cookie, status);

            // As on the wire: a refusal is the last answer.
            IsBroken |= status == DataStatus.Refused;
        }

        RemoveFirst(first);
        return done;
    }

    private DataStatus Execute(in Request request)
    {
        if (_sponsor.IsLost(request.Slab))
        {
            return DataStatus.Disconnected;
        }

        byte* memory = _sponsor.Find(request.Slab, request.Slot, request.Pages);
        if (memory is null)
        {
            return DataStatus.Refused;
        }

        long bytes = (long)request.Pages << PageSize.Shift;
        Buffer.MemoryCopy(request.IsWrite ? request.Buffer : memory, request.IsWrite ? memory : request.Buffer, bytes, bytes);
        return DataStatus.Done;
    }

    private void RemoveFirst(int count)
    {
        if (count > 0)
        {
            Array.Copy(_requests, count, _requests, 0, _count - count);
            _count -= count;
            _submitted = Math.Max(0, _submitted - count);
        }
    }

    public void Dispose()
    {
        IsBroken = true;
        _count = 0;
        _submitted = 0;
    }
}
