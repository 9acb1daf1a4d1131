using System.Diagnostics;
using System.Runtime.CompilerServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Sponsor.Serving;

/// <content>
/// The serving thread. Connections that had work within the last <see cref="ServingConnection.SpinTicks"/> are active: while there are a few, their
/// sockets are tried directly, one system call each; with many, epoll is asked without waiting. With none active, it sleeps.
/// </content>
internal sealed unsafe partial class DataServer
{
    private const ulong ListenerTag = 0;
    private const ulong WakeTag = 1;
    private const ulong FirstConnectionTag = 2;
    private const int EventsMax = 64;

    /// <summary>Up to so many active sockets are tried directly; beyond, one epoll_wait is cheaper.</summary>
    private const int DirectMax = 3;

    /// <summary>While directly tried sockets keep coming up with work, or empty, the others are asked after every so many turns.</summary>
    private const int TurnsBetweenEpoll = 32;

    private const int LingerMs = 1_000;
    private const int RefusalMs = 5_000;
    private const int AcceptPauseMs = 100;

    private readonly ServingConnection?[] _connections;
    private readonly ServingConnection[] _active;
    private CoreSeparation? _separation;
    private int _activeCount;
    private int _firstActive;
    private long _nextDeadline = long.MaxValue;
    private long _acceptAgain = long.MaxValue;

    // It runs for ever: what is compiled ahead of time would not be replaced.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Serve()
    {
        EpollEvent* events = stackalloc EpollEvent[EventsMax];
        int turnsSinceEpoll = 0;
        FairRounds rounds = _context.Rounds;
        _separation = new CoreSeparation();
        while (!_stop)
        {
            if (_jobsWaiting)
            {
                RunJobs();
                CloseWhatUsesRetiredSlabs();
            }

            long now = Stopwatch.GetTimestamp();
            rounds.Next();
            bool worked = ServeActive(now);
            if (_activeCount is > 0 and <= DirectMax && ++turnsSinceEpoll < TurnsBetweenEpoll && rounds.Moved < FairRounds.RoundBytes)
            {
                if (!worked)
                {
                    // Somebody on this core may be who we wait for.
                    _ = Libc.Yield();
                }

                continue;
            }

            turnsSinceEpoll = 0;
            rounds.TakeMoved();
            int timeout = _activeCount > 0 ? 0 : MillisecondsUntil(now, Math.Min(_nextDeadline, _acceptAgain));
            int count = Libc.EpollWait(_epoll, events, EventsMax, timeout);
            now = Stopwatch.GetTimestamp();
            for (int i = 0; i < count; i++)
            {
                // Who has little credit uses it on another connection each time.
                Handle(events[(int)((rounds.Round + i) % count)].Data, now);
            }

            CheckDeadlines(now);
        }

        Stop();
    }

    private bool ServeActive(long now)
    {
        bool worked = false;
        bool direct = _activeCount <= DirectMax;

        // Each time another first, as above.
        _firstActive = _firstActive + 1 < _activeCount ? _firstActive + 1 : 0;
        for (int left = _activeCount, i = _firstActive; left > 0; left--)
        {
            i = i < _activeCount ? i : 0;
            ServingConnection connection = _active[i];
            bool isTried = direct || connection.HasMore;
            if (isTried && _context.Rounds.CreditOf(connection.Share) <= 0)
            {
                // It stays, and has its turn when it has credit: epoll does not announce what was received.
                worked = true;
            }
            else if (isTried && Turn(connection, now))
            {
                worked = true;
            }
            else if (connection.IsActive && (connection.IsBulk || now - connection.LastWork > connection.SpinTicks))
            {
                Deactivate(connection);
            }

            // In the place of one that is active no more is the last by now.
            i += connection.IsActive ? 1 : 0;
        }

        return worked;
    }

    private void Handle(ulong tag, long now)
    {
        if (tag == ListenerTag)
        {
            Accept(now);
        }
        else if (tag == WakeTag)
        {
            ulong count;
            _ = Libc.Read(_wake, &count, sizeof(ulong));
        }
        else if (_connections[(int)(tag - FirstConnectionTag)] is { Phase: not ConnectionPhase.Closed } connection)
        {
            TakeEvent(connection, now);
        }
    }

    private void TakeEvent(ServingConnection connection, long now)
    {
        if (_context.Rounds.CreditOf(connection.Share) <= 0)
        {
            // Announced again in the next round.
            return;
        }

        long spinMax = _options.SpinMicroseconds * Stopwatch.Frequency / 1_000_000;
        if (!connection.IsActive)
        {
            connection.NoteMissed(now, spinMax);
        }

        if (Turn(connection, now) && !connection.IsActive && (spinMax > 0 || connection.HasMore))
        {
            connection.IsActive = true;
            _active[_activeCount++] = connection;
        }
    }

    /// <summary>One turn with a connection; true when it had work and is still open.</summary>
    private bool Turn(ServingConnection connection, long now)
    {
        FairRounds rounds = _context.Rounds;
        ServingShare? share = connection.Share;
        long credit = rounds.CreditOf(share), budget = credit;
        ServeOutcome outcome = connection.Serve(ref budget);
        rounds.Charge(share, credit, credit - budget);
        if (connection.IsRefusalNew)
        {
            Report(connection, now);
        }

        if (outcome == ServeOutcome.Ended)
        {
            Close(connection);
            return false;
        }

        UpdateDeadline(connection, now);
        uint events = connection.IsHeldBack ? Libc.EPOLLOUT : Libc.EPOLLIN;
        if (events != connection.RegisteredEvents)
        {
            connection.RegisteredEvents = events;
            Change(connection.Descriptor, (ulong)connection.Index + FirstConnectionTag, events);
        }

        if (outcome == ServeOutcome.Worked)
        {
            connection.LastWork = now;
            if (connection.IsSameHost)
            {
                _separation!.Note(connection.Descriptor);
            }

            return true;
        }

        return false;
    }

    private void Deactivate(ServingConnection connection)
    {
        int place = Array.IndexOf(_active, connection, 0, _activeCount);
        connection.IsActive = false;
        _active[place] = _active[--_activeCount];
    }

    private void Close(ServingConnection connection)
    {
        if (connection.IsActive)
        {
            Deactivate(connection);
        }

        // Closing the descriptor takes it out of the epoll set.
        connection.Close();
        Counters.ConnectionsOpen--;
    }

    private void CloseWhatUsesRetiredSlabs()
    {
        foreach (ServingConnection? connection in _connections)
        {
            if (connection is { Phase: not ConnectionPhase.Closed } && !connection.Revalidate())
            {
                Report(connection, Stopwatch.GetTimestamp());
                Close(connection);
            }
        }
    }

    /// <summary>No request is answered from here on. Who has not been welcomed yet is told why.</summary>
    private void Stop()
    {
        foreach (ServingConnection? connection in _connections)
        {
            if (connection is { Phase: not ConnectionPhase.Closed })
            {
                connection.SayStopping();
                Close(connection);
            }
        }

        lock (_gate)
        {
            _running = false;
            while (_jobs.TryDequeue(out Job? job))
            {
                RunJob(job);
            }
        }
    }

    private static int MillisecondsUntil(long now, long deadline) =>
        deadline == long.MaxValue ? -1 : (int)Math.Clamp(((deadline - now) * 1000 / Stopwatch.Frequency) + 1, 0, 60_000);

    private bool TryRegister(int descriptor, ulong tag, uint events)
    {
        EpollEvent change = new() { Events = events, Data = tag };
        return Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, descriptor, &change) == 0;
    }

    private void Change(int descriptor, ulong tag, uint events)
    {
        EpollEvent change = new() { Events = events, Data = tag };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_MOD, descriptor, &change);
    }
}
