using System.Runtime.CompilerServices;

namespace Hecatonchire.Transport.Reconnecting;

/// <summary>
/// The requests in flight, in the order in which they were posted; the inner connection knows each by its place here. All memory is had at
/// construction.
/// </summary>
internal sealed unsafe class InFlightTable
{
    private const int None = -1;

    private readonly Request[] _requests;
    private int _free;
    private int _oldest = None;
    private int _newest = None;

    public struct Request
    {
        public ulong Cookie;
        public ulong Slab;
        public byte* Buffer;
        public uint Slot;
        public ushort Pages;
        public bool IsWrite;
        internal bool IsInFlight;

        /// <summary>Of the free places the next, of those in flight the next newer.</summary>
        internal int Next;
        internal int Previous;
    }

    public InFlightTable(int capacity)
    {
        _requests = GC.AllocateArray<Request>(capacity, pinned: true);
        for (int i = 0; i < capacity; i++)
        {
            _requests[i].Next = i + 1 < capacity ? i + 1 : None;
        }
    }

    public int Capacity => _requests.Length;

    public int Count { get; private set; }

    public int Free => _requests.Length - Count;

    /// <summary>The place the next <see cref="Add"/> takes; there must be a free one.</summary>
    public int NextPlace => _free;

    public ref readonly Request this[int place] => ref _requests[place];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong cookie, ulong slab, uint slot, int pages, byte* buffer, bool isWrite)
    {
        int place = _free;
        ref Request request = ref _requests[place];
        _free = request.Next;
        request.Cookie = cookie;
        request.Slab = slab;
        request.Buffer = buffer;
        request.Slot = slot;
        request.Pages = (ushort)pages;
        request.IsWrite = isWrite;
        request.IsInFlight = true;
        request.Next = None;
        request.Previous = _newest;
        if (_newest != None)
        {
            _requests[_newest].Next = place;
        }
        else
        {
            _oldest = place;
        }

        _newest = place;
        Count++;
    }

    /// <summary>Takes a request out that has ended, and returns its cookie. False for one that is not in flight: it has ended before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRemove(int place, out ulong cookie)
    {
        ref Request request = ref _requests[place];
        cookie = request.Cookie;
        if (!request.IsInFlight)
        {
            return false;
        }

        request.IsInFlight = false;
        if (request.Previous != None)
        {
            _requests[request.Previous].Next = request.Next;
        }
        else
        {
            _oldest = request.Next;
        }

        if (request.Next != None)
        {
            _requests[request.Next].Previous = request.Previous;
        }
        else
        {
            _newest = request.Previous;
        }

        request.Next = _free;
        _free = place;
        Count--;
        return true;
    }

    /// <summary>The oldest request in flight; false when there is none.</summary>
    public bool TryGetOldest(out int place) => (place = _oldest) != None;

    /// <summary>Goes on to the next newer one; false at the end.</summary>
    public bool TryGetNewer(ref int place) => (place = _requests[place].Next) != None;
}
