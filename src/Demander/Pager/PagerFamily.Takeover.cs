using Hecatonchire.Interop;

namespace Hecatonchire.Pager;

/// <content>
/// A family whose pager has died: its processes come one by one, in any order, and what one of them has in slots only its own tables say. So nothing is done to any
/// of them before all hold their new tables; who does not come in time is stopped, and never listened to again.
/// </content>
internal sealed partial class PagerFamily
{
    /// <summary>How long the others wait for one that could come: it tries twenty times a second.</summary>
    private static readonly TimeSpan ComeTime = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan ComePollTime = TimeSpan.FromMilliseconds(5);

    private readonly List<PagerSession> _returned = [];
    private bool _isServing;

    /// <summary>Held by who changes what the pager thread uses before that thread runs.</summary>
    public Lock Gate { get; } = new();

    /// <summary>True until the processes of a dead pager have agreed to go on with this one: what they have on the sponsors must stay there.</summary>
    public bool IsOnTrial { get; set; }

    /// <summary>As whom it borrows.</summary>
    public Guid Demander => _pool.Demander;

    /// <summary>For one more process of a dead pager. False when it comes too late.</summary>
    public bool TryJoin()
    {
        lock (Gate)
        {
            for (int sessions = Volatile.Read(ref _sessions); IsOnTrial && sessions > 0;)
            {
                int seen = Interlocked.CompareExchange(ref _sessions, sessions + 1, sessions);
                if (seen == sessions)
                {
                    return true;
                }

                sessions = seen;
            }

            return false;
        }
    }

    /// <summary>Starts serving, the first program or those that have returned.</summary>
    public void Start(params IEnumerable<PagerMember> members)
    {
        lock (Gate)
        {
            foreach (PagerMember member in members)
            {
                Thread.Add(member);
            }

            Thread.Start();
            _pool.Start(Thread.RunOn);
            _isServing = true;
        }
    }

    /// <summary>Has something done that the pager thread would see: on it, once it runs.</summary>
    public void RunOn(Action action)
    {
        lock (Gate)
        {
            if (!_isServing)
            {
                action();
                return;
            }
        }

        Thread.RunOn(action);
    }

    /// <summary>Returns when its thread has been seen between two rounds; at once where it does not run.</summary>
    public void AwaitProgress()
    {
        // Held: what wakes the thread ends with it.
        lock (_disposal)
        {
            if (!_isDisposed)
            {
                RunOn(static () => { });
            }
        }
    }

    /// <summary>
    /// A program holds its new tables. Returns when all of the family do who can, and are served from now on; false when they have gone on without this one.
    /// </summary>
    /// <param name="session">Its.</param>
    /// <param name="folder">Where it is written down which processes had tables of the dead pager.</param>
    public bool Begin(PagerSession session, string folder)
    {
        lock (Gate)
        {
            if (!IsOnTrial)
            {
                return false;
            }

            _returned.Add(session);
        }

        // What others take to be looked at, with the gate held, is not counted.
        for (TimeSpan waited = TimeSpan.Zero; ; waited += ComePollTime)
        {
            lock (Gate)
            {
                if (!IsOnTrial)
                {
                    return true;
                }

                TablesRecord[] missing = [.. TablesRecord.Of(folder, Demander).Where(record => !_returned.Exists(other => other.Process == record.Process))];
                TablesRecord[] late = [.. missing.Where(record => record.CanCome)];
                if (waited >= ComeTime || late.Length == 0)
                {
                    GiveUp(missing, late);
                    BeginAll();
                    return true;
                }
            }

            System.Threading.Thread.Sleep(ComePollTime);
        }
    }

    /// <summary>Their slots may be others' from now on, so who is missing is not listened to when it comes after all; and who could still come is stopped.</summary>
    private void GiveUp(TablesRecord[] missing, TablesRecord[] late)
    {
        Array.ForEach(missing, static record => record.Delete());
        foreach (TablesRecord record in late)
        {
            PagerLog.ProcessGivenUp(_logger, record.Process, ComeTime.TotalSeconds);
            _ = Libc.Kill(record.Process, Libc.SIGKILL);
        }
    }

    private void BeginAll()
    {
        if (!_returned.Exists(session => session.Core.IsHeir))
        {
            _returned[0].Core.IsHeir = true;
        }

        _returned.ForEach(session => session.AgreeOnTables());
        IsOnTrial = false;

        // The program before its children, as if it had forked them here.
        Start(_returned.OrderByDescending(session => session.Core.IsHeir).Select(session => session.BeginServing()));
        _returned.Clear();
    }
}
