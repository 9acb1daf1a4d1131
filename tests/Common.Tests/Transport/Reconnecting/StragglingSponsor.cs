using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;

namespace Hecatonchire.Tests.Transport.Reconnecting;

/// <summary>
/// A sponsor at the far end of a network that loses connections, all of it driven by one thread from one source of chance. What a
/// connection has sent lies in its socket and is applied later, also when the demander's end is long gone, until a fence throws it away.
/// A page is the first word of its 4 KiB.
/// </summary>
internal sealed class StragglingSponsor(Random random, uint slots) : IDataConnectionFactory
{
    private readonly List<StragglingConnection> _connections = [];

    /// <summary>So often it serves nothing: what is in its sockets may be applied long after the demander gave it up.</summary>
    private int _pause;

    public ulong[] Slots { get; } = new ulong[slots];

    /// <summary>False: the bug that the simulation must find.</summary>
    public bool HasFence { get; set; } = true;

    /// <summary>As over RDMA: pages leave and reach the demander's buffers when the sponsor serves, whether anybody polls or not.</summary>
    public bool IsOneSided { get; init; }

    /// <summary>How often opening or fencing fails, and a new connection ends at once.</summary>
    public int FailPerThousand { get; set; }

    public int RefusePerMillion { get; set; }

    /// <summary>The sponsor has ended.</summary>
    public bool IsDead { get; private set; }

    /// <summary>Nobody can reach it; it may be back.</summary>
    public bool IsAway { get; set; }

    /// <summary>All that were ever opened.</summary>
    public List<StragglingConnection> Opened { get; } = [];

    public IDataConnection Open()
    {
        FailByChance();
        StragglingConnection connection = new(this, random);
        _connections.Add(connection);
        Opened.Add(connection);
        if (random.Next(1000) < FailPerThousand)
        {
            connection.Break();
        }

        return connection;
    }

    public void Fence(TimeSpan timeout, CancellationToken stop)
    {
        FailByChance();
        if (HasFence)
        {
            // Some of it is read before the sponsor comes to the fence.
            for (int i = random.Next(4); i > 0; i--)
            {
                Serve();
            }

            _connections.ForEach(connection => connection.Drop());
            _connections.Clear();
        }
    }

    /// <summary>Reads one request from one of the sockets.</summary>
    public void Serve()
    {
        if (!IsDead && _connections.Count > 0 && _pause-- <= 0)
        {
            _connections[random.Next(_connections.Count)].Serve(random.Next(1_000_000) < RefusePerMillion);
        }
    }

    public void BreakOne()
    {
        if (_connections.Count > 0)
        {
            _connections[random.Next(_connections.Count)].Break();
        }
    }

    /// <summary>Ends for good, with an answer to who asks; or cannot be asked any more, while one of the connections goes on.</summary>
    public void Lose(bool isTold)
    {
        (IsDead, IsAway) = (isTold, !isTold);
        _pause = isTold ? 0 : random.Next(4000);
        int whole = isTold || _connections.Count == 0 ? -1 : random.Next(_connections.Count);
        for (int i = 0; i < _connections.Count; i++)
        {
            if (i != whole)
            {
                _connections[i].Break();
            }
        }
    }

    private void FailByChance()
    {
        if (IsDead)
        {
            throw new DataConnectionException(DataConnectionFailure.Lost, "the sponsor has ended");
        }

        if (IsAway || random.Next(1000) < FailPerThousand)
        {
            throw new DataConnectionException(DataConnectionFailure.Unreachable, "nobody answers");
        }
    }
}
