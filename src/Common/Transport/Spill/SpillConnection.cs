using System.Runtime.CompilerServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Transport.Spill;

/// <summary>
/// A data connection to a <see cref="SpillFile"/>. Its threads do what waits for the disk and what takes time (sealing a page, about three microseconds); who posts and polls never waits
/// for either. A READ of a page that the disk cannot return as it was written ends as <see cref="DataStatus.Lost"/>. A WRITE that finds the disk full in spite of its reservation is in flight
/// until it does not. With one thread requests take effect in the order they were posted in.
/// </summary>
internal sealed unsafe class SpillConnection : ISponsorConnection
{
    public const int RequestsMax = 512;
    public const int RunPagesMax = 256;

    /// <summary>A disk does single pages several at a time, a run keeps one from nobody, and pages are sealed meanwhile; each has 1 MiB of buffer.</summary>
    public const int ThreadsDefault = 4;

    private const uint Mask = RequestsMax - 1;
    private const string RefusedReason = "the spill file was asked for what is not there";

    private readonly SpillFile _file;
    private readonly SpillWorker[] _workers;
    private readonly Request[] _requests = new Request[RequestsMax];
    private readonly int[] _free = new int[RequestsMax];
    private int _freeCount = RequestsMax;

    /// <summary>Places of posted requests, in order. Free-running counters: claimed &lt;= submitted &lt;= posted &lt;= claimed + RequestsMax.</summary>
    private readonly int[] _queue = new int[RequestsMax];
    private uint _posted;
    private uint _submitted;
    private uint _claimed;

    /// <summary>Places of requests that have ended, in the order of their ends: the counter, the place and the status in one word.</summary>
    private readonly ulong[] _ended = new ulong[RequestsMax];
    private uint _endedTail;
    private uint _endedHead;

    /// <summary>A semaphore that sleeping threads read, and how many of them nobody has woken yet.</summary>
    private readonly int _work = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_SEMAPHORE);
    private int _sleeping;

    /// <summary>Set by who is about to wait for it; and how often it was written to, of which the user has read so many.</summary>
    private readonly int _completed = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
    private int _isWaiting;
    private long _signals;
    private long _signalsRead;

    private volatile bool _isRefused;
    private volatile bool _isStopping;

    private struct Request
    {
        public ulong Cookie;

        /// <summary>Entered; null where there is none of that number, or the run is not inside it.</summary>
        public SpillSlab? Slab;
        public byte* Buffer;
        public uint Slot;
        public int Pages;
        public bool IsWrite;
    }

    /// <summary>Begins its threads. The file may be disposed of before it is: it stays open as long.</summary>
    public SpillConnection(SpillFile file, int threads = ThreadsDefault)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _file = file;
        _workers = new SpillWorker[threads];
        for (int i = 0; i < RequestsMax; i++)
        {
            _free[i] = RequestsMax - 1 - i;
        }

        bool isReferenced = false;
        try
        {
            if (_work < 0 || _completed < 0)
            {
                throw new SpillException($"cannot spill to {file.FilePath}: eventfd: {Errno.Describe(Libc.Errno)}");
            }

            file.Handle.DangerousAddRef(ref isReferenced);
            for (int i = 0; i < threads; i++)
            {
                _workers[i] = new SpillWorker(this, file);
                _workers[i].Start();
            }
        }
        catch
        {
            End(isReferenced);
            throw;
        }
    }

    public string Transport => "spill";

    public int PagesPerRequestMax => RunPagesMax;

    public int FreeRequests => IsBroken ? 0 : _freeCount;

    public bool IsBroken => _isRefused || _isStopping || _file.FailReason is not null;

    public string? BreakReason => _file.FailReason ?? (_isRefused ? RefusedReason : null);

    /// <summary>The threads use the buffers of what is in flight.</summary>
    public bool IsOneSided => true;

    /// <summary>A local file is never away.</summary>
    public bool IsAway => false;

    public int WaitDescriptor => _completed;

    public uint WaitEvents => Libc.EPOLLIN;

    /// <summary>True once its threads are to end.</summary>
    internal bool IsStopping => _isStopping;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer, isWrite: false);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer, isWrite: true);

    public void Submit()
    {
        uint added = _posted - _submitted;
        if (added > 0)
        {
            Volatile.Write(ref _submitted, _posted);
            Wake((int)added);
        }
    }

    public int Poll(Span<DataCompletion> completions)
    {
        if (_isStopping)
        {
            return 0;
        }

        if (_posted != _submitted && IsBroken)
        {
            Submit();
        }

        ReadSignals();
        int done = 0;
        while (done < completions.Length && TryTakeEnded(out int place, out DataStatus status))
        {
            completions[done++] = new DataCompletion(_requests[place].Cookie, status);
            _free[_freeCount++] = place;
        }

        return done;
    }

    public bool PrepareToWait()
    {
        _ = Interlocked.Exchange(ref _isWaiting, 1);
        if (!HasEnded)
        {
            return true;
        }

        Volatile.Write(ref _isWaiting, 0);
        return false;
    }

    public int Withdraw(Span<ulong> cookies) => 0;

    /// <summary>Nothing to leave: a disk that does not answer is waited for, and one that fails says so.</summary>
    public void Leave(string why)
    {
    }

    /// <summary>Ends the threads, which waits for what the disk is doing for them; what is in flight is not told any more, and its buffers are not used any more.</summary>
    public void Dispose()
    {
        if (!_isStopping)
        {
            End(isReferenced: true);
        }
    }

    /// <summary>What a thread does until the connection ends.</summary>
    internal void Serve(SpillWorker worker)
    {
        while (!_isStopping)
        {
            if (!TryClaim(out int place))
            {
                Sleep();
                continue;
            }

            ref Request request = ref _requests[place];
            DataStatus status = Execute(worker, in request);
            request.Slab?.Exit();
            request.Slab = null;
            Tell(place, status);
        }
    }

    private void End(bool isReferenced)
    {
        _isStopping = true;
        Wake(int.MaxValue);
        foreach (SpillWorker? worker in _workers)
        {
            worker?.Dispose();
        }

        for (uint i = _claimed; i != _posted; i++)
        {
            _requests[_queue[i & Mask]].Slab?.Exit();
        }

        _ = Libc.Close(_work);
        _ = Libc.Close(_completed);
        if (isReferenced)
        {
            _file.Handle.DangerousRelease();
        }
    }

    private bool TryPost(ulong cookie, ulong slab, uint slot, int pages, byte* buffer, bool isWrite)
    {
        if (IsBroken || _freeCount == 0 || pages is < 1 or > RunPagesMax)
        {
            return false;
        }

        SpillSlab? entered = _file.Enter(slab);
        if (entered is not null && (ulong)slot + (uint)pages > entered.Slots)
        {
            entered.Exit();
            entered = null;
        }

        int place = _free[--_freeCount];
        _requests[place] = new Request { Cookie = cookie, Slab = entered, Buffer = buffer, Slot = slot, Pages = pages, IsWrite = isWrite };
        _queue[_posted++ & Mask] = place;
        return true;
    }

    private DataStatus Execute(SpillWorker worker, in Request request)
    {
        if (IsBroken)
        {
            return DataStatus.Disconnected;
        }

        if (request.Slab is not { } slab)
        {
            _isRefused = true;
            return DataStatus.Refused;
        }

        return request.IsWrite
            ? worker.Write(slab, request.Slot, request.Pages, request.Buffer)
            : worker.Read(slab, request.Slot, request.Pages, request.Buffer);
    }

    private bool TryClaim(out int place)
    {
        for (uint claimed = Volatile.Read(ref _claimed); claimed != Volatile.Read(ref _submitted);)
        {
            // Not written to again before it is claimed and has ended: if this claims it, it was right.
            place = Volatile.Read(ref _queue[claimed & Mask]);
            uint seen = Interlocked.CompareExchange(ref _claimed, claimed + 1, claimed);
            if (seen == claimed)
            {
                return true;
            }

            claimed = seen;
        }

        place = -1;
        return false;
    }

    private void Tell(int place, DataStatus status)
    {
        uint tail = Interlocked.Increment(ref _endedTail) - 1;
        Volatile.Write(ref _ended[tail & Mask], Ended(tail) | ((uint)place << 8) | (byte)status);
        if (Interlocked.Exchange(ref _isWaiting, 0) != 0)
        {
            _ = Interlocked.Increment(ref _signals);
            ulong one = 1;
            _ = Libc.Write(_completed, &one, sizeof(ulong));
        }
    }

    private bool HasEnded => Volatile.Read(ref _ended[_endedHead & Mask]) >> 32 == Ended(_endedHead) >> 32;

    private bool TryTakeEnded(out int place, out DataStatus status)
    {
        ulong ended = Volatile.Read(ref _ended[_endedHead & Mask]);
        (place, status) = ((int)((uint)ended >> 8), (DataStatus)(byte)ended);
        if (ended >> 32 != Ended(_endedHead) >> 32)
        {
            return false;
        }

        _endedHead++;
        return true;
    }

    /// <summary>Not 0 for the first round, which is what an unused place has.</summary>
    private static ulong Ended(uint number) => (ulong)(number + RequestsMax) << 32;

    /// <summary>So that the descriptor is not readable for what is taken now. One that is counted and not written yet wakes the user for nothing later.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ReadSignals()
    {
        ulong count;
        if (_signalsRead != Volatile.Read(ref _signals) && Libc.Read(_completed, &count, sizeof(ulong)) == sizeof(ulong))
        {
            _signalsRead += (long)count;
        }
    }

    private void Wake(int most)
    {
        // What there is to do must be seen by who goes to sleep now, or it is seen here asleep.
        Interlocked.MemoryBarrier();
        ulong woken = 0;
        while ((int)woken < most && TryTakeSleeper())
        {
            woken++;
        }

        if (woken > 0)
        {
            _ = Libc.Write(_work, &woken, sizeof(ulong));
        }
    }

    private bool TryTakeSleeper()
    {
        for (int sleeping = Volatile.Read(ref _sleeping); sleeping > 0;)
        {
            int seen = Interlocked.CompareExchange(ref _sleeping, sleeping - 1, sleeping);
            if (seen == sleeping)
            {
                return true;
            }

            sleeping = seen;
        }

        return false;
    }

    private void Sleep()
    {
        _ = Interlocked.Increment(ref _sleeping);

        // Who finds work after all goes back to it, unless somebody has woken it meanwhile: that must be read.
        if ((_isStopping || Volatile.Read(ref _claimed) != Volatile.Read(ref _submitted)) && TryTakeSleeper())
        {
            return;
        }

        ulong one;
        while (Libc.Read(_work, &one, sizeof(ulong)) < 0 && Libc.Errno == Errno.EINTR)
        {
        }
    }
}
