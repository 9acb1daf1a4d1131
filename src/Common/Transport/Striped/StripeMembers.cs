using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Striped;

/// <summary>The connections to the sponsors that a <see cref="StripedConnection"/> is over, by the sponsors' numbers, and what is known of each in its direction.</summary>
internal sealed unsafe class StripeMembers : IDisposable
{
    private readonly SponsorSet _set;
    private readonly int _waitSet = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private readonly Member[] _members = new Member[SponsorSet.SponsorsMax];
    private readonly List<(nint Memory, nuint Bytes)> _registered = [];

    public struct Member
    {
        public ISponsorConnection? Connection;
        public int InFlight;

        /// <summary>When something last completed, or was posted with nothing in flight; milliseconds.</summary>
        public long ProgressAt;

        /// <summary>What a single page takes, smoothed, in ticks of the stopwatch.</summary>
        public long ServiceTime;
    }

    public StripeMembers(SponsorSet set)
    {
        _set = set;
        WaitDescriptor = _waitSet;
    }

    public ref Member this[int sponsor] => ref _members[sponsor];

    /// <summary>One more than the highest number that was in use.</summary>
    public int End { get; private set; }

    public string Transport => _members.Take(End).FirstOrDefault(member => member.Connection is not null).Connection?.Transport ?? "none";

    public int PagesPerRequestMax { get; private set; } = int.MaxValue;

    /// <summary>Of a single sponsor its own: each level of epoll costs whoever sends half a microsecond.</summary>
    public int WaitDescriptor { get; private set; }

    /// <summary>Why the last that is lost was.</summary>
    public string? BreakReason { get; private set; }

    public bool Knows(int sponsor) => _members[sponsor].Connection is not null;

    /// <summary>Throws <see cref="DataConnectionException"/>; then it is not added.</summary>
    public void Add(int sponsor, ISponsorConnection connection)
    {
        foreach ((nint memory, nuint bytes) in _registered)
        {
            int errno = connection.Register((byte*)memory, bytes);
            if (errno != 0)
            {
                throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered((long)bytes, errno));
            }
        }

        _members[sponsor] = new Member { Connection = connection };
        End = Math.Max(End, sponsor + 1);
        PagesPerRequestMax = Math.Min(PagesPerRequestMax, connection.PagesPerRequestMax);
        Watch(connection, Libc.EPOLL_CTL_ADD);
        ChooseWaitDescriptor();
    }

    public void Remove(int sponsor)
    {
        if (_members[sponsor].Connection is { } connection)
        {
            Watch(connection, Libc.EPOLL_CTL_DEL);
            _members[sponsor] = default;
            ChooseWaitDescriptor();
        }
    }

    /// <summary>With all of them, those that come later included; see <see cref="IDataConnection.Register"/>.</summary>
    public int Register(byte* memory, nuint bytes)
    {
        for (int i = 0; i < End; i++)
        {
            int errno = _members[i].Connection?.Register(memory, bytes) ?? 0;
            if (errno != 0)
            {
                while (--i >= 0)
                {
                    _members[i].Connection?.Unregister(memory);
                }

                return errno;
            }
        }

        _registered.Add(((nint)memory, bytes));
        return 0;
    }

    public void Unregister(byte* memory)
    {
        _ = _registered.RemoveAll(region => region.Memory == (nint)memory);
        for (int i = 0; i < End; i++)
        {
            _members[i].Connection?.Unregister(memory);
        }
    }

    /// <summary>True when the sponsor's connection has ended for good; the set knows it then.</summary>
    public bool NoteIfLost(int sponsor)
    {
        if (_members[sponsor].Connection is not { IsBroken: true } connection)
        {
            return false;
        }

        BreakReason = connection.BreakReason ?? BreakReason;
        _set.NoteLost(sponsor, connection.BreakReason);
        return true;
    }

    public void Dispose() => _ = Libc.Close(_waitSet);

    private void ChooseWaitDescriptor()
    {
        Member[] known = Array.FindAll(_members, static member => member.Connection is not null);
        WaitDescriptor = known.Length == 1 ? known[0].Connection!.WaitDescriptor : _waitSet;
    }

    private void Watch(ISponsorConnection connection, int operation)
    {
        if (connection.WaitDescriptor >= 0)
        {
            EpollEvent change = new() { Events = connection.WaitEvents, Data = (ulong)connection.WaitDescriptor };
            _ = Libc.EpollControl(_waitSet, operation, connection.WaitDescriptor, &change);
        }
    }
}
