using System.Numerics;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <summary>Finds the first run of used slots of a stripe from a slot on, at most <paramref name="most"/> long; its length, 0 when there is none.</summary>
internal delegate int UsedSlots(ulong stripe, uint from, int most, out uint first);

/// <summary>
/// Fills replicas that are being made, while the program goes on: reads what is used of the stripe from a live replica and writes it to the new one, which gets the
/// program's writes too from the beginning. The pages that the program writes to while they are under way here are copied once more, and only those: what is written all
/// the time is filled too. One replica at a time, at a bounded rate. On the pager thread.
/// </summary>
internal sealed unsafe class StripeCopier : IDisposable
{
    /// <summary>Pages of one copy, and copies at once: twice what a run of pages takes to and from a sponsor. A page is a bit of a word.</summary>
    private const int WindowPages = 64;
    private const int Windows = 2;

    /// <summary>How often a page is read that is wrong each time, before it is copied as it is: its sum tells whoever reads it. It may be all that is left then.</summary>
    private const int WrongMax = 10;

    private readonly SponsorSet _set;
    private readonly UsedSlots _used;
    private readonly Window[] _windows = new Window[Windows];
    private readonly byte* _memory = NativeMemoryMap.Populate((nuint)(Windows * WindowPages) << PageSize.Shift);
    private ulong _stripe;
    private int _target = -1;
    private uint _cursor;

    /// <summary>Up to there one page at a time: one among them is wrong, and must not keep the others from being read right.</summary>
    private uint _singlyUntil;
    private long _allowance;
    private long _allowedAt;

    private enum WindowState
    {
        Idle,

        /// <summary>It has slots, and waits for the program's writes to them to end.</summary>
        Settling,
        Reading,
        ToWrite,
        Writing,
    }

    private struct Window
    {
        public WindowState State;
        public uint First;
        public int Pages;

        /// <summary>Of its pages, those that are under way: a run of them.</summary>
        public uint RunFirst;
        public int RunPages;

        /// <summary>A bit for each of its pages that is to be copied, and for each that the program has written to since it was read.</summary>
        public ulong Pending;
        public ulong Dirty;

        /// <summary>How often it was wrong.</summary>
        public int Wrong;
    }

    /// <summary>Throws <see cref="DataConnectionException"/> where a device does not take its buffers.</summary>
    public StripeCopier(SponsorSet set, UsedSlots used)
    {
        (_set, _used) = (set, used);
        const long Bytes = (long)(Windows * WindowPages) << PageSize.Shift;
        foreach (StripedConnection connection in (StripedConnection[])[set.Reader, set.Writer])
        {
            int errno = connection.Register(_memory, (nuint)Bytes);
            if (errno != 0)
            {
                throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered(Bytes, errno));
            }
        }
    }

    /// <summary>Of copies that somebody waits for.</summary>
    public const long BytesPerSecondDefault = 512L << 20;

    /// <summary>Bytes a second at most. Changed on the pager thread.</summary>
    public long BytesPerSecondMax { get; set; } = BytesPerSecondDefault;

    /// <summary>A replica has become live: stripe, sponsor.</summary>
    public Action<ulong, int>? OnFilled { get; init; }

    public bool IsBusy => _target >= 0;

    /// <summary>Begins to fill the replica of the stripe on a sponsor, which was added as such. One at a time.</summary>
    public void Begin(ulong stripe, int sponsor) => (_stripe, _target, _cursor, _singlyUntil) = (stripe, sponsor, 0, 0);

    /// <summary>Goes on as far as it can now.</summary>
    public void Step()
    {
        if (_target < 0)
        {
            return;
        }

        bool isWanted = _set.Stripes[_stripe] is { IsLost: false } stripe && SponsorSet.Find(stripe, _target) is >= 0 and var place
            && stripe.Replicas[place].State == ReplicaState.Filling;
        Allow();
        bool isIdle = true;
        for (int i = 0; i < Windows; i++)
        {
            ref Window window = ref _windows[i];
            if (window.State == WindowState.Idle && isWanted && _allowance > 0)
            {
                int most = _cursor < _singlyUntil ? 1 : Math.Min(WindowPages, Math.Min(_set.Reader.PagesPerRequestMax, _set.Writer.PagesPerRequestMax));
                window.Pages = _used(_stripe, _cursor, most, out window.First);
                if (window.Pages > 0)
                {
                    (window.Pending, window.RunPages, window.Wrong) = (ulong.MaxValue >> (WindowPages - window.Pages), 0, 0);
                    _cursor = window.First + (uint)window.Pages;
                    _allowance -= (long)window.Pages << PageSize.Shift;
                    window.State = WindowState.Settling;
                }
            }

            StepWindow(i, ref window, isWanted);
            isIdle &= window.State == WindowState.Idle;
        }

        if (isIdle && (!isWanted || (_allowance > 0 && _used(_stripe, _cursor, 1, out _) == 0)))
        {
            End(isWanted);
        }
    }

    public void Dispose()
    {
        _set.Reader.Unregister(_memory);
        _set.Writer.Unregister(_memory);
        _ = Libc.Unmap(_memory, (nuint)(Windows * WindowPages) << PageSize.Shift);
    }

    /// <summary>The program writes to a stripe.</summary>
    internal void NoteWrite(ulong stripe, uint slot, int pages)
    {
        if (_target < 0 || stripe != _stripe)
        {
            return;
        }

        for (int i = 0; i < Windows; i++)
        {
            ref Window window = ref _windows[i];
            uint from = Math.Max(slot, window.RunFirst), to = Math.Min(slot + (uint)pages, window.RunFirst + (uint)window.RunPages);
            if (window.State != WindowState.Idle && from < to)
            {
                window.Dirty |= BitsOf(in window, from, (int)(to - from));
            }
        }
    }

    /// <summary>True when the program has written meanwhile to a slot that a window has asked for: it may be of either version.</summary>
    internal bool IsDirty(int index, uint slot) => (_windows[index].Dirty & BitsOf(in _windows[index], slot, 1)) != 0;

    /// <summary>What was asked for window <paramref name="index"/> has ended.</summary>
    internal void NoteEnd(int index, DataStatus status)
    {
        ref Window window = ref _windows[index];
        if (status == DataStatus.Lost && window.RunPages > 1)
        {
            // What another window has copied beyond is copied again, which changes nothing.
            (_cursor, _singlyUntil) = (Math.Min(_cursor, window.First), Math.Max(_singlyUntil, window.First + (uint)window.Pages));
            window.State = WindowState.Idle;
        }
        else if (status == DataStatus.Lost)
        {
            window.State = ++window.Wrong < WrongMax ? WindowState.Settling : WindowState.ToWrite;
        }
        else if (status != DataStatus.Done)
        {
            // The source or the target is out, which the next step finds; else it goes again.
            window.State = WindowState.Settling;
        }
        else if (window.State == WindowState.Reading)
        {
            window.State = WindowState.ToWrite;
        }
        else
        {
            window.Pending = (window.Pending & ~BitsOf(in window, window.RunFirst, window.RunPages)) | window.Dirty;
            (window.RunPages, window.State) = (0, window.Pending != 0 ? WindowState.Settling : WindowState.Idle);
        }
    }

    /// <summary>The next pages of a window that are to be copied, side by side, of those that the program is not writing to. False where there are none now.</summary>
    private bool TryTakeRun(ref Window window)
    {
        ulong free = window.Pending & ~_set.Writer.WritesIn(_stripe, window.First);
        if (free == 0)
        {
            return false;
        }

        int first = BitOperations.TrailingZeroCount(free);
        uint before = window.RunFirst;
        (window.RunFirst, window.RunPages) = (window.First + (uint)first, BitOperations.TrailingZeroCount(~(free >> first)));
        window.Wrong = window.RunFirst == before ? window.Wrong : 0;
        window.Dirty = 0;
        return true;
    }

    private byte* BufferOf(int index) => _memory + ((nint)((index * WindowPages) + (int)(_windows[index].RunFirst - _windows[index].First)) << PageSize.Shift);

    private static ulong BitsOf(in Window window, uint first, int pages) => ulong.MaxValue >> (WindowPages - pages) << (int)(first - window.First);

    private void StepWindow(int index, ref Window window, bool isWanted)
    {
        switch (window.State)
        {
            case WindowState.Settling or WindowState.ToWrite when !isWanted:
                window.State = WindowState.Idle;
                break;
            case WindowState.Settling when TryTakeRun(ref window):
                if (_set.Reader.TryPostOwn(StripedOwner.Copier, index, _stripe, window.RunFirst, window.RunPages, BufferOf(index), -1))
                {
                    window.State = WindowState.Reading;
                }

                break;
            case WindowState.ToWrite when _set.Writer.TryPostOwn(StripedOwner.Copier, index, _stripe, window.RunFirst, window.RunPages, BufferOf(index), _target):
                window.State = WindowState.Writing;
                break;
            default:
                break;
        }
    }

    private void Allow()
    {
        long now = _set.Clock();
        long gained = (now - _allowedAt) * (BytesPerSecondMax / 1000);
        if (gained > 0)
        {
            // What was not used in ten milliseconds is forgone.
            _allowance = Math.Min(_allowance + gained, BytesPerSecondMax / 100);
            _allowedAt = now;
        }
    }

    private void End(bool isWanted)
    {
        int target = _target;
        _target = -1;
        if (isWanted && _set.Stripes[_stripe] is { } stripe)
        {
            stripe.Replicas[SponsorSet.Find(stripe, target)].State = ReplicaState.Live;
            OnFilled?.Invoke(_stripe, target);
        }
    }
}
