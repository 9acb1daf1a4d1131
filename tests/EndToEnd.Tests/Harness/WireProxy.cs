using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Pager;

namespace Hecatonchire.Tests.Harness;

/// <summary>
/// A bad network before a sponsor: whoever takes <see cref="Endpoint"/> for the sponsor reaches it through here, with what is sent held back for a while, or pages damaged
/// on their way. It listens on another address of loopback with the sponsor's port numbers, for the sponsor tells its data port itself. Each connection has two threads.
/// </summary>
internal sealed class WireProxy : IDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);

    private readonly SponsorProcess _sponsor;
    private readonly int _seed;
    private readonly Lock _lock = new();
    private readonly List<Thread> _threads = [];
    private readonly List<Socket> _listeners = [];
    private readonly List<Socket> _connected = [];
    private volatile bool _ends;
    private long _delay;
    private long _flips;
    private double _flipsOfReads;
    private double _flipsOfWrites;

    /// <param name="sponsor">Outlives this.</param>
    /// <param name="address">Of loopback, not the sponsor's.</param>
    /// <param name="seed">Of what is damaged.</param>
    public WireProxy(SponsorProcess sponsor, string address, int seed = 1)
    {
        (_sponsor, _seed) = (sponsor, seed);
        Endpoint = sponsor.Endpoint with { Host = address };
        Listen(Endpoint.Port, isData: false);
        Listen(sponsor.DataPort, isData: true);
    }

    public SponsorEndpoint Endpoint { get; }

    /// <summary>How long what is sent from now on takes longer, each way; rounded up to milliseconds.</summary>
    public TimeSpan Delay
    {
        get => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _delay));
        set => Interlocked.Exchange(ref _delay, (long)(value.TotalSeconds * Stopwatch.Frequency));
    }

    /// <summary>Of the pages that are read, so many are damaged, 0 to 1.</summary>
    public double FlipsOfReads
    {
        get => Volatile.Read(ref _flipsOfReads);
        set => Volatile.Write(ref _flipsOfReads, value);
    }

    /// <summary>Of the pages that are written.</summary>
    public double FlipsOfWrites
    {
        get => Volatile.Read(ref _flipsOfWrites);
        set => Volatile.Write(ref _flipsOfWrites, value);
    }

    /// <summary>Bits flipped so far.</summary>
    public long Flips => Interlocked.Read(ref _flips);

    public void Dispose()
    {
        _ends = true;
        Thread[] threads;
        lock (_lock)
        {
            threads = [.. _threads];

            // Who sends into a full socket is let go.
            _connected.ForEach(End);
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        _connected.ForEach(socket => socket.Dispose());
        _listeners.ForEach(socket => socket.Dispose());
    }

    private static void End(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended by itself.
        }
    }

    private void Listen(int port, bool isData)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Parse(Endpoint.Host), port));
        listener.Listen();
        _listeners.Add(listener);
        Start("proxy", () => Accept(listener, new IPEndPoint(IPAddress.Parse(_sponsor.Endpoint.Host), port), isData));
    }

    private void Accept(Socket listener, IPEndPoint sponsor, bool isData)
    {
        for (int seed = _seed; !_ends;)
        {
            if (!listener.Poll(s_look, SelectMode.SelectRead))
            {
                continue;
            }

            Socket demander = listener.Accept();
            var onward = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            Add(demander);
            Add(onward);
            try
            {
                onward.Connect(sponsor);
            }
            catch (SocketException)
            {
                demander.Close();
                continue;
            }

            demander.NoDelay = onward.NoDelay = true;
            Start("proxy-out", new Direction(this, demander, onward, isData ? new PayloadFlipper(isAnswers: false, () => FlipsOfWrites, seed++) : null).Run);
            Start("proxy-in", new Direction(this, onward, demander, isData ? new PayloadFlipper(isAnswers: true, () => FlipsOfReads, seed++) : null).Run);
        }
    }

    private void Add(Socket socket)
    {
        lock (_lock)
        {
            _connected.Add(socket);
        }
    }

    private void Start(string name, Action run)
    {
        var thread = new Thread(() => run()) { Name = name, IsBackground = true };
        lock (_lock)
        {
            _threads.Add(thread);
        }

        thread.Start();
    }

    /// <summary>One direction of a connection: what came is sent on when it is due, in its order.</summary>
    private sealed class Direction(WireProxy proxy, Socket from, Socket to, PayloadFlipper? flipper)
    {
        private const int PartBytes = 256 << 10;

        /// <summary>More than two windows and their write-backs in 20 ms; who sends more waits, as for a network that is full.</summary>
        private const long HeldBytesMax = 64 << 20;

        private readonly Queue<(byte[] Bytes, int Count, long Due)> _held = new();
        private long _heldBytes;

        public void Run()
        {
            try
            {
                bool isOpen = true;
                while (!proxy._ends && (isOpen || _held.Count > 0))
                {
                    isOpen = Receive(isOpen);
                    SendDue();
                }

                to.Shutdown(SocketShutdown.Send);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // As a network does where one end is gone: the other end is told.
                from.Close(timeout: 0);
                to.Close(timeout: 0);
            }
        }

        /// <summary>Waits until there is something to take, or to send. False once there will be nothing to take.</summary>
        private bool Receive(bool isOpen)
        {
            TimeSpan wait = s_look;
            if (_held.TryPeek(out (byte[] Bytes, int Count, long Due) next))
            {
                double milliseconds = Math.Ceiling((next.Due - Stopwatch.GetTimestamp()) * 1000.0 / Stopwatch.Frequency);
                wait = TimeSpan.FromMilliseconds(Math.Max(0, milliseconds));
            }

            if (!isOpen || _heldBytes >= HeldBytesMax)
            {
                Thread.Sleep(wait);
                return isOpen;
            }

            if (!from.Poll(wait, SelectMode.SelectRead))
            {
                return true;
            }

            byte[] bytes = ArrayPool<byte>.Shared.Rent(PartBytes);
            int count = from.Receive(bytes);
            if (count == 0)
            {
                ArrayPool<byte>.Shared.Return(bytes);
                return false;
            }

            if (flipper is not null)
            {
                _ = Interlocked.Add(ref proxy._flips, flipper.Pass(bytes.AsSpan(0, count)));
            }

            _held.Enqueue((bytes, count, Stopwatch.GetTimestamp() + Interlocked.Read(ref proxy._delay)));
            _heldBytes += count;
            return true;
        }

        private void SendDue()
        {
            while (_held.TryPeek(out (byte[] Bytes, int Count, long Due) next) && next.Due <= Stopwatch.GetTimestamp())
            {
                for (int sent = 0; sent < next.Count;)
                {
                    sent += to.Send(next.Bytes, sent, next.Count - sent, SocketFlags.None);
                }

                _ = _held.Dequeue();
                _heldBytes -= next.Count;
                ArrayPool<byte>.Shared.Return(next.Bytes);
            }
        }
    }
}
