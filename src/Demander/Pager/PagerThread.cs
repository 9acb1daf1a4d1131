using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport;

namespace Hecatonchire.Pager;

/// <summary>
/// The thread that drives the <see cref="PagerCore"/> of a program, and those of its forked children: it spins while an answer is due within
/// microseconds, and sleeps in epoll otherwise, so that an idle pager uses no CPU. Everything that can end the sleep is a descriptor: faults,
/// evictor completions, both connections, requests, memory pressure.
/// </summary>
internal sealed unsafe class PagerThread : IDisposable
{
    /// <summary>
    /// Rounds without progress before the pager sleeps: longer than a round trip to the evictor or the sponsor and than several
    /// threads take to their next fault (about 50 us; waking it across cores costs 20 to 30), shorter than is worth a core.
    /// </summary>
    private const int IdleRoundsBusy = 100;

    /// <summary>Rounds a demand fetch is waited for spinning, about 5 ms: beyond that the sponsor is not spinning either.</summary>
    private const int IdleRoundsDemand = 10_000;

    /// <summary>About 20 us, twice what a fetch takes when the sponsor runs: yielding from the first round on costs each fault 2 us.</summary>
    private const int RoundsBeforeYield = 32;

    private readonly ConnectionShare _reader;
    private readonly ConnectionShare _writer;
    private readonly List<PagerMember> _members = [];
    private readonly ConcurrentQueue<Action> _orders = new();
    private readonly int _wake = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
    private readonly int _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private readonly EpollEvent[] _ready = GC.AllocateArray<EpollEvent>(16, pinned: true);
    private readonly Thread _thread;
    private readonly bool _spin;
    private Watched _watchedReader;
    private Watched _watchedWriter;
    private volatile bool _stop;

    /// <summary>What epoll was told of a connection.</summary>
    private record struct Watched(int Descriptor, uint Events);

    public PagerThread(ConnectionShare reader, ConnectionShare writer, bool spin)
    {
        (_reader, _writer, _spin) = (reader, writer, spin);
        Watch(_wake, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
        Rewatch(reader.Inner, ref _watchedReader);
        Rewatch(writer.Inner, ref _watchedWriter);
        _thread = new Thread(Run) { Name = "heca-pager", IsBackground = true, Priority = ThreadPriority.Highest };
    }

    /// <summary>Bytes the pager thread allocated so far; written by it, for the test that this stays 0.</summary>
    public long AllocatedBytes;

    public void Start() => _thread.Start();

    /// <summary>Serves a program from now on. On this thread, or before it runs.</summary>
    public void Add(PagerMember member)
    {
        _members.Add(member);
        foreach ((int descriptor, uint events) in member.Watched)
        {
            Watch(descriptor, events, Libc.EPOLL_CTL_ADD);
        }
    }

    /// <summary>The program of a member has said HELLO, so that there is more to watch; on this thread.</summary>
    public void Rewatch(PagerMember member, Action change)
    {
        Unwatch(member);
        change();
        foreach ((int descriptor, uint events) in member.Watched)
        {
            Watch(descriptor, events, Libc.EPOLL_CTL_ADD);
        }
    }

    /// <summary>
    /// The program is gone: what is under way for it over the connections ends, and its share in the slots. By any other thread; waits. Of the last one
    /// nothing is waited for: with <see cref="PagerMember.EndsUndrained"/> set, the connections have to end before its buffers.
    /// </summary>
    public void Remove(PagerMember member)
    {
        using var removed = new ManualResetEventSlim();
        Order(() =>
        {
            member.Core.NoteProgramGone();
            (member.OnRemoved, member.MayEndUndrained) = (removed.Set, true);
        });
        while (!removed.Wait(TimeSpan.FromSeconds(1)) && _thread.IsAlive)
        {
        }
    }

    /// <summary>Has this thread do something between two rounds, and waits for it. By any other thread.</summary>
    public void RunOn(Action action)
    {
        using var done = new ManualResetEventSlim();
        Order(() =>
        {
            action();
            done.Set();
        });
        while (!done.Wait(TimeSpan.FromSeconds(1)) && _thread.IsAlive)
        {
        }
    }

    /// <summary>While nothing can be had in place of slots that are lost, the programs may have more here than their bound. On this thread.</summary>
    public void LetGrow(bool mayGrow) => _members.ForEach(member => member.Core.LetGrow(mayGrow));

    /// <summary>Gives a request to the pager thread and waits for its end; others wait their turn.</summary>
    public void Execute(PagerCore core, PagerRequest request)
    {
        lock (core.Turn)
        {
            core.Post(request);
            Wake();
            while (!request.Done.Wait(TimeSpan.FromSeconds(1)))
            {
                if (!_thread.IsAlive)
                {
                    request.Status = -Errno.ESRCH;
                    return;
                }
            }
        }
    }

    public void Dispose()
    {
        _stop = true;
        Wake();
        if (!_thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            _thread.Join();
        }

        _ = Libc.Close(_wake);
        _ = Libc.Close(_epoll);
    }

    private void Order(Action action)
    {
        _orders.Enqueue(action);
        Wake();
    }

    private void Wake()
    {
        ulong one = 1;
        _ = Libc.Write(_wake, &one, sizeof(ulong));
    }

    private void Run()
    {
        try
        {
            Loop();
        }
        catch (Exception e)
        {
            // The program's threads wait for this one: going on without it would be a silent hang.
            Environment.FailFast("the pager thread ended by an exception: " + e.Message, e);
        }
    }

    // It runs for ever: what is compiled ahead of time would not be replaced.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Loop()
    {
        int idleRounds = 0;
        bool checksConnections = true;
        while (!_stop)
        {
            while (_orders.TryDequeue(out Action? order))
            {
                order();
            }

            bool progress = false, sharesCore = false, isFetching = false, isAwaited = false, isDemand = false;

            // A fork adds one in the midst of it.
            for (int i = 0; i < _members.Count; i++)
            {
                PagerMember member = _members[i];
                PagerCore core = member.Core;
                member.ApplyPressure();
                sharesCore |= member.FollowsCore(isAlone: _members.Count == 1);
                core.CheckConnections = checksConnections;
                progress |= core.RunOnce();
                core.CheckConnections = false;
                isFetching |= core.IsFetching;
                isAwaited |= core.IsEvictorAwaited && !core.ProgramGone;
                isDemand |= core.IsDemandInFlight;
                Attend(member, ref i);
            }

            checksConnections = false;
            AllocatedBytes = GC.GetAllocatedBytesForCurrentThread();

            // With nothing on its way here, another look could only delay the program where it shares this core: epoll
            // returns at once if there is more.
            idleRounds = progress ? 0 : idleRounds + 1;
            bool sleeps = sharesCore && !isFetching && !isAwaited;
            if (progress && !sleeps)
            {
                continue;
            }

            if (_spin && !sleeps && idleRounds < (isDemand ? IdleRoundsDemand : IdleRoundsBusy))
            {
                if (isDemand)
                {
                    _reader.Inner.Spin();
                }

                // Later than usual: who is waited for, the sponsor or the evictor, may be waiting for this core.
                if (idleRounds > RoundsBeforeYield)
                {
                    _ = Libc.Yield();
                }

                continue;
            }

            Sleep();
            checksConnections = true;
            idleRounds = 0;
        }
    }

    /// <summary>What a round has shown of a program: that it must be stopped, that it has gone, that nothing more is under way for it.</summary>
    private void Attend(PagerMember member, ref int index)
    {
        member.NoteRound();
        if (!member.Core.ProgramGone)
        {
            return;
        }

        if (!member.IsGone)
        {
            // Requests still end, with the status that says why; nothing else is awaited of it.
            Unwatch(member);
            member.IsGone = true;
        }

        member.EndsUndrained = member.MayEndUndrained && _members.Count == 1 && !member.Core.HasForksQueued;
        if (member.OnRemoved is { } removed && member.CanBeClosed && (member.Core.IsDrained || member.EndsUndrained))
        {
            _members.RemoveAt(index--);
            if (_members.Count > 0)
            {
                // The others go on with what they share with it; the last one's are the slabs' to give back.
                member.Core.ReleaseSlots();
                member.Core.LeaveConnections();
                _members[0].Core.IsHeir = true;
            }

            removed();
        }
    }

    private void Unwatch(PagerMember member)
    {
        if (!member.IsGone)
        {
            foreach ((int descriptor, _) in member.Watched)
            {
                Watch(descriptor, 0, Libc.EPOLL_CTL_DEL);
            }
        }
    }

    private void Sleep()
    {
        Rewatch(_reader.Inner, ref _watchedReader);
        Rewatch(_writer.Inner, ref _watchedWriter);
        if (!_reader.PrepareToWait() || !_writer.PrepareToWait())
        {
            return;
        }

        int longest = Math.Min(PagerMember.SleepMsMax, Math.Min(_reader.Inner.WaitMsMax, _writer.Inner.WaitMsMax));
        for (int i = 0; i < _members.Count; i++)
        {
            int limit = _members[i].PrepareToSleep();
            if (limit == 0)
            {
                for (; i >= 0; i--)
                {
                    _members[i].Ring?.WakeUp();
                }

                return;
            }

            longest = Math.Min(longest, limit);
        }

        fixed (EpollEvent* ready = _ready)
        {
            int count = Libc.EpollWait(_epoll, ready, _ready.Length, longest);
            WakeUpAll(isQuiet: count == 0 && longest == PagerMember.QuietMs);
            for (int i = 0; i < count; i++)
            {
                int descriptor = (int)ready[i].Data;
                if (descriptor == _wake)
                {
                    ulong drained;
                    _ = Libc.Read(descriptor, &drained, sizeof(ulong));
                    continue;
                }

                for (int m = 0; m < _members.Count && !_members[m].Acknowledge(descriptor); m++)
                {
                }
            }
        }
    }

    private void WakeUpAll(bool isQuiet)
    {
        for (int i = 0; i < _members.Count; i++)
        {
            _members[i].WakeUp(isQuiet);
        }
    }

    private void Rewatch(IDataConnection connection, ref Watched watched)
    {
        Watched wanted = connection.IsBroken ? default : new Watched(connection.WaitDescriptor, connection.WaitEvents);
        if (wanted == watched)
        {
            return;
        }

        if (wanted.Descriptor == watched.Descriptor)
        {
            Watch(wanted.Descriptor, wanted.Events, Libc.EPOLL_CTL_MOD);
        }
        else
        {
            // One that was closed meanwhile has left by itself.
            if (watched.Events != 0)
            {
                Watch(watched.Descriptor, 0, Libc.EPOLL_CTL_DEL);
            }

            if (wanted.Events != 0)
            {
                Watch(wanted.Descriptor, wanted.Events, Libc.EPOLL_CTL_ADD);
            }
        }

        watched = wanted;
    }

    private void Watch(int descriptor, uint events, int operation)
    {
        var change = new EpollEvent { Events = events, Data = (ulong)descriptor };
        _ = Libc.EpollControl(_epoll, operation, descriptor, &change);
    }
}
