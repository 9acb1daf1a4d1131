using Hecatonchire.Units;

namespace Hecatonchire.Transport.Faulty;

/// <summary>
/// Passes requests on to another connection and does to them what a <see cref="FaultSchedule"/> says: error, delay, reorder, drop of
/// the connection, corruption. Owns the other connection. Allocates nothing after construction.
/// </summary>
internal sealed unsafe class FaultyDataConnection : IDataConnection
{
    private const int Million = 1_000_000;

    private readonly IDataConnection _inner;
    private readonly FaultSchedule _schedule;
    private readonly Random _random;
    private readonly DataCompletion[] _fromInner;

    // A request lives in the slot whose number the inner connection knows as its cookie.
    private readonly Request[] _requests;
    private readonly int[] _free;
    private int _freeCount;

    // Slots whose completion is held here, oldest first.
    private readonly int[] _held;
    private int _heldCount;

    private long _polls;
    private long _posted;
    private bool _innerEnded;

    private struct Request
    {
        public ulong Cookie;
        public byte* Buffer;
        public int Pages;
        public bool IsRead;
        public bool IsPosted;
        public DataStatus Status;
        public long DuePoll;
    }

    public FaultyDataConnection(IDataConnection inner, FaultSchedule schedule)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(schedule.DelayPollsMax, 1);
        _inner = inner;
        _schedule = schedule;
        _random = new Random(schedule.Seed);
        int capacity = Math.Max(1, inner.FreeRequests);
        _requests = new Request[capacity];
        _held = new int[capacity];
        _fromInner = new DataCompletion[capacity];
        _free = new int[capacity];
        for (int i = 0; i < capacity; i++)
        {
            _free[i] = capacity - 1 - i;
        }

        _freeCount = capacity;
    }

    public string Transport => _inner.Transport;

    public int PagesPerRequestMax => _inner.PagesPerRequestMax;

    public int FreeRequests => IsBroken ? 0 : Math.Min(_freeCount, _inner.FreeRequests);

    public bool IsBroken { get; private set; }

    /// <summary>-1 unless the schedule is quiet: what is held back here announces itself on no descriptor.</summary>
    public int WaitDescriptor => _schedule.IsQuiet ? _inner.WaitDescriptor : -1;

    public uint WaitEvents => _inner.WaitEvents;

    public int Register(byte* memory, nuint bytes) => _inner.Register(memory, bytes);

    public bool PrepareToWait() => _inner.PrepareToWait();

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isRead: true);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isRead: false);

    private bool TryPost(ulong cookie, ulong slab, uint slot, int pages, byte* buffer, bool isRead)
    {
        if (IsBroken || _freeCount == 0)
        {
            return false;
        }

        int index = _free[_freeCount - 1];
        bool posted = isRead
            ? _inner.TryPostRead((ulong)index, slab, slot, pages, buffer)
            : _inner.TryPostWrite((ulong)index, slab, slot, pages, buffer);
        if (posted)
        {
            _freeCount--;
            _posted++;
            _requests[index] = new Request
            {
                Cookie = cookie,
                Buffer = buffer,
                Pages = pages,
                IsRead = isRead,
                IsPosted = true,
                DuePoll = _posted,
            };
        }

        return posted;
    }

    public void Submit()
    {
        if (!_innerEnded)
        {
            _inner.Submit();
        }
    }

    public int Poll(Span<DataCompletion> completions)
    {
        _polls++;
        TakeFromInner();
        int done = 0;
        for (int i = 0; i < _heldCount && done < completions.Length;)
        {
            int place = _schedule.Reorder && !IsBroken ? _random.Next(i, _heldCount) : i;
            int index = _held[place];
            ref Request request = ref _requests[index];
            if (request.DuePoll > _polls && !IsBroken)
            {
                // Not due: to the front, out of the way of the ones that are.
                (_held[i], _held[place]) = (index, _held[i]);
                i++;
                continue;
            }

            completions[done++] = new DataCompletion(request.Cookie, request.Status);
            Array.Copy(_held, place + 1, _held, place, _heldCount - place - 1);
            _heldCount--;
            _free[_freeCount++] = index;
        }

        return done;
    }

    private void TakeFromInner()
    {
        int count = _innerEnded ? 0 : _inner.Poll(_fromInner);
        for (int i = 0; i < count && !_innerEnded; i++)
        {
            Take((int)_fromInner[i].Cookie, _fromInner[i].Status);
        }

        IsBroken |= _inner.IsBroken;
    }

    private void Take(int index, DataStatus status)
    {
        ref Request request = ref _requests[index];
        long number = request.DuePoll;
        if (status == DataStatus.Done && (number == _schedule.DropAtRequest || Chance(_schedule.DropPerMillion)))
        {
            End(index, DataStatus.Disconnected);
            return;
        }

        if (status == DataStatus.Done && Chance(_schedule.RefusePerMillion))
        {
            End(index, DataStatus.Refused);
            return;
        }

        if (status == DataStatus.Done && request.IsRead && Chance(_schedule.CorruptPerMillion))
        {
            request.Buffer[_random.Next(request.Pages << PageSize.Shift)] ^= (byte)(1 << _random.Next(8));
        }

        bool late = Chance(_schedule.DelayPerMillion);
        request.DuePoll = late ? _polls + _random.Next(1, _schedule.DelayPollsMax + 1) : _polls;
        Hold(index, status);
    }

    /// <summary>Ends the connection: this request as said, everything else that has not been held yet as Disconnected.</summary>
    private void End(int index, DataStatus status)
    {
        _innerEnded = true;
        IsBroken = true;

        // With it go the buffers' users: after this nothing writes into a caller's buffer.
        _inner.Dispose();
        Hold(index, status);
        for (int i = 0; i < _requests.Length; i++)
        {
            if (_requests[i].IsPosted)
            {
                Hold(i, DataStatus.Disconnected);
            }
        }
    }

    private void Hold(int index, DataStatus status)
    {
        _requests[index].Status = status;
        _requests[index].IsPosted = false;
        _held[_heldCount++] = index;
    }

    private bool Chance(int perMillion) => perMillion > 0 && _random.Next(Million) < perMillion;

    public void Dispose()
    {
        IsBroken = true;
        _innerEnded = true;
        _heldCount = 0;
        _inner.Dispose();
    }
}
