using Hecatonchire.Transport;

namespace Hecatonchire.Pager;

/// <summary>
/// One connection for the cores of a program and of its forked children, which one thread drives: each posts under its own number and sees its own
/// completions only. Requests of one that has ended must have been completed before.
/// </summary>
internal sealed unsafe class ConnectionShare(IDataConnection inner)
{
    /// <summary>Cores at once.</summary>
    public const int MembersMax = 256;

    /// <summary>Bits of a cookie that no core uses.</summary>
    private const int NumberShift = 48;

    private readonly Member?[] _members = new Member?[MembersMax];
    private readonly DataCompletion[] _polled = new DataCompletion[64];
    private readonly int _requestsMax = inner.FreeRequests;
    private int _count;
    private int _queued;

    public IDataConnection Inner => inner;

    /// <summary>False when there is something to poll already; see <see cref="IDataConnection.PrepareToWait"/>.</summary>
    public bool PrepareToWait() => _queued == 0 && inner.PrepareToWait();

    /// <summary>A connection for one more core; null when there are too many. Disposing it ends it, and not the one that is shared.</summary>
    public IDataConnection? Add()
    {
        int number = Array.IndexOf(_members, null);
        if (number < 0)
        {
            return null;
        }

        _count++;
        return _members[number] = new Member(this, number, _requestsMax);
    }

    private int Poll(Member member, Span<DataCompletion> completions)
    {
        int count = member.Take(completions);
        if (count == completions.Length)
        {
            return count;
        }

        if (_count == 1 && member.Number == 0)
        {
            int own = inner.Poll(completions[count..]);
            member.NoteTold(own);
            return count + own;
        }

        int polled = inner.Poll(_polled);
        for (int i = 0; i < polled; i++)
        {
            int number = (int)(_polled[i].Cookie >> NumberShift) & (MembersMax - 1);
            var completion = new DataCompletion(_polled[i].Cookie & ~((MembersMax - 1UL) << NumberShift), _polled[i].Status, _polled[i].Buffer);
            if (number == member.Number && count < completions.Length)
            {
                completions[count++] = completion;
                member.NoteTold(1);
            }
            else
            {
                Push(number, completion);
            }
        }

        return count;
    }

    private void Push(int number, DataCompletion completion)
    {
        if (_members[number] is { } member)
        {
            member.Push(completion);
        }
        else if (completion.Buffer != null)
        {
            inner.Release(completion.Buffer);
        }
    }

    private sealed class Member(ConnectionShare share, int number, int requestsMax) : IDataConnection
    {
        private readonly DataCompletion[] _queue = new DataCompletion[requestsMax];
        private int _head;
        private int _count;

        /// <summary>Requests whose end it has not been told: one that takes its completions late has no more of them than there is room for.</summary>
        private int _untold;

        public int Number => number;

        public string Transport => share.Inner.Transport;

        public int PagesPerRequestMax => share.Inner.PagesPerRequestMax;

        public int FreeRequests => Math.Min(share.Inner.FreeRequests, _queue.Length - _untold);

        public bool IsBroken => share.Inner.IsBroken;

        public string? BreakReason => share.Inner.BreakReason;

        public int WaitDescriptor => share.Inner.WaitDescriptor;

        public uint WaitEvents => share.Inner.WaitEvents;

        public int Register(byte* memory, nuint bytes) => share.Inner.Register(memory, bytes);

        public void Unregister(byte* memory) => share.Inner.Unregister(memory);

        public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
            _untold < _queue.Length && NotePosted(share.Inner.TryPostRead(Own(cookie), slab, slot, pages, buffer));

        public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
            _untold < _queue.Length && NotePosted(share.Inner.TryPostWrite(Own(cookie), slab, slot, pages, buffer));

        public void Release(byte* buffer) => share.Inner.Release(buffer);

        public void Submit() => share.Inner.Submit();

        public int Poll(Span<DataCompletion> completions) => share.Poll(this, completions);

        public void Spin() => share.Inner.Spin();

        public bool PrepareToWait() => share.PrepareToWait();

        public void Push(DataCompletion completion)
        {
            _queue[(_head + _count++) % _queue.Length] = completion;
            share._queued++;
        }

        public void NoteTold(int count) => _untold -= count;

        public int Take(Span<DataCompletion> completions)
        {
            int taken = 0;
            for (; _count > 0 && taken < completions.Length; _count--, share._queued--, _untold--)
            {
                completions[taken++] = _queue[_head];
                _head = (_head + 1) % _queue.Length;
            }

            return taken;
        }

        public void Dispose()
        {
            if (share._members[number] == this)
            {
                for (int i = 0; i < _count; i++)
                {
                    byte* named = _queue[(_head + i) % _queue.Length].Buffer;
                    if (named != null)
                    {
                        share.Inner.Release(named);
                    }
                }

                share._members[number] = null;
                share._queued -= _count;
                share._count--;
            }
        }

        private bool NotePosted(bool isPosted)
        {
            _untold += isPosted ? 1 : 0;
            return isPosted;
        }

        private ulong Own(ulong cookie) => cookie | ((ulong)number << NumberShift);
    }
}
