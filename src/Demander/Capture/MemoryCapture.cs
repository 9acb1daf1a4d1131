using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Capture;

/// <summary>
/// The thread that makes a program's memory the pager's. As long as the program stays well below what it may have here nothing is captured, and it runs as it
/// would alone, huge pages included. Then all that is eligible is; and from then on what it maps anew, whenever that has
/// become resident in some amount. How often it looks follows from how soon that can be.
/// </summary>
internal sealed partial class MemoryCapture : IDisposable
{
    /// <summary>How fast a program can fill memory, at most.</summary>
    private const double PagesPerMs = 1000;

    private const double PauseMsMin = 1;
    private const double PauseMsMaxBefore = 50;
    private const double PauseMsMax = 25;

    /// <summary>How often what was measured is told where it has hardly changed: a share of all data as budget grows with them.</summary>
    private const long TellMsMax = 1000;

    /// <summary>With less than this outside the pager's hands anew, mappings are not looked for.</summary>
    private const long NewPagesMin = (4L << 20) / PageSize.Bytes;

    /// <summary>Where it is strict, this much of new address space is looked at before it is filled.</summary>
    private const long MappedPagesMin = (1L << 20) / PageSize.Bytes;

    /// <summary>A program that keeps changing its address space is looked at again so many times, then at the next turn.</summary>
    private const int TriesMax = 8;

    private readonly ICapturedProgram _program;
    private readonly CaptureRules _rules;
    private readonly ILogger _log;
    private readonly ManualResetEvent _stop = new(false);
    private readonly List<Mapping> _mappings = [];
    private readonly List<AddressRange> _ranges = [];
    private readonly List<AddressRange> _keptOut = [];
    private readonly HashSet<AddressRange> _refused = [];
    private Thread? _thread;
    private long _outsideAtLook;
    private long _mappedAtLook;
    private long _outsideTold = -1;
    private long _toldAt;
    private bool _fullTold;
    private bool _sharedTold;
    private bool _isPrepared;

    /// <summary>The address space has changed each time: something may be left, and is looked for again, but not all the time.</summary>
    private bool _isLookVoid;

    public MemoryCapture(ICapturedProgram program, CaptureRules rules, ILogger log) => (_program, _rules, _log) = (program, rules, log);

    /// <summary>True once memory has been captured.</summary>
    public bool IsCapturing { get; set; }

    /// <summary>
    /// Starts the thread. Where the program has a cgroup's limit to meet, what takes time in the first look is over on return: the kernel would kill a
    /// program that fills its memory meanwhile.
    /// </summary>
    public void Start()
    {
        if (_program.IsStrict)
        {
            Preparation.Wait();
            StepOnce();
        }

        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = "heca-capture", IsBackground = true };
        _thread.Start();
    }

    public void Dispose()
    {
        _stop.Set();
        _thread?.Join();
        _stop.Dispose();
    }

    private void Run()
    {
        try
        {
            for (double pause = PauseMsMin; pause >= 0 && !_stop.WaitOne(TimeSpan.FromMilliseconds(pause));)
            {
                pause = StepOnce();
            }
        }
        catch (Exception e)
        {
            Environment.FailFast("the capturing thread ended by an exception: " + e.Message, e);
        }
    }

    /// <summary>As <see cref="Step"/>; -1 once the program has ended.</summary>
    private double StepOnce()
    {
        try
        {
            return Step();
        }
        catch (IOException)
        {
            return -1;
        }
    }

    /// <summary>Looks once; returns in how many milliseconds to look again.</summary>
    internal double Step()
    {
        (long mapped, long anonymous) = _program.ReadPages();
        long outside = Math.Max(0, anonymous - _program.PagesInHand);
        long bound = _program.BoundPages(anonymous);
        bool isStrict = _program.IsStrict;
        if (!IsCapturing)
        {
            long start = isStrict ? 0 : bound - (bound / 8);
            if (anonymous < start)
            {
                // Slots are got ahead: a program that fills fast would be far above the bound by the time they are there.
                if (!_isPrepared && anonymous >= start / 2)
                {
                    _isPrepared = true;
                    _ = _program.EnsureFreeSlots();
                }

                return Math.Clamp((start - anonymous) / PagesPerMs, PauseMsMin, PauseMsMaxBefore);
            }

            IsCapturing = true;
            LogStarted((anonymous << PageSize.Shift) >> 20, (bound << PageSize.Shift) >> 20);

            // Before slots are got, where there are none yet: what the program fills from now on waits for room.
            Tell(outside, isSponsorFull: false);
            outside = Look();
        }

        if (_program.SharedRounds > 0 && !_sharedTold)
        {
            _sharedTold = true;
            LogShared();
        }

        long step = Math.Max(NewPagesMin, bound / 32);
        if (outside - _outsideAtLook >= step || (isStrict && mapped - _mappedAtLook >= MappedPagesMin))
        {
            outside = Look();
        }

        _outsideAtLook = Math.Min(_outsideAtLook, outside);
        _mappedAtLook = Math.Min(_mappedAtLook, mapped);
        bool isFull = !_program.EnsureFreeSlots();
        bool isDue = Environment.TickCount64 - _toldAt >= TellMsMax;
        if (isDue)
        {
            _refused.Clear();
        }

        if (Math.Abs(outside - _outsideTold) >= Math.Min(step / 4, NewPagesMin) || isFull || isFull != _fullTold || isDue)
        {
            Tell(outside, isFull);
        }

        // Where it is strict, in half the time that what is left could be filled in.
        long left = isStrict ? (bound - anonymous) / 2 : _outsideAtLook + step - outside;
        return Math.Clamp(left / PagesPerMs, _isLookVoid && !isStrict ? PauseMsMax : PauseMsMin, PauseMsMax);
    }

    private void Tell(long outside, bool isSponsorFull)
    {
        if (isSponsorFull && !_fullTold)
        {
            LogFull();
        }

        _program.Measure(outside, isSponsorFull);
        (_outsideTold, _fullTold, _toldAt) = (outside, isSponsorFull, Environment.TickCount64);
    }

    /// <summary>Captures what is eligible and not captured yet. Returns the pages that are outside afterwards.</summary>
    private long Look()
    {
        long before = 0;
        _isLookVoid = true;
        for (int tries = 0; tries < TriesMax && _isLookVoid; tries++)
        {
            // Before the mappings are read: what the program maps and fills meanwhile is not among them, and has yet to be looked for.
            (_mappedAtLook, before) = _program.ReadPages();
            _isLookVoid = !TryCapture();
        }

        (_, long anonymous) = _program.ReadPages();
        long outside = Math.Max(0, anonymous - _program.PagesInHand);
        _outsideAtLook = _isLookVoid ? 0 : Math.Max(0, outside - Math.Max(0, anonymous - before));
        return outside;
    }

    /// <summary>False when the address space changed meanwhile, so that something may be left.</summary>
    private bool TryCapture()
    {
        // Before the look: what the pager reads of changes from here on makes the look void.
        long changes = _program.PlaceChanges;
        _program.ReadMappings(_mappings);
        _ranges.Clear();
        _keptOut.Clear();
        _program.ReadKeptOut(_keptOut);
        bool isComplete = true;
        foreach (AddressRange piece in _mappings.SelectMany(mapping => _rules.PiecesOf(mapping, _keptOut)))
        {
            int found = _refused.Contains(piece) ? 0 : _program.FindRegistered(piece.Start);
            isComplete &= found != Errno.EAGAIN;
            if (found == Errno.ENOENT)
            {
                _ranges.Add(piece);
            }
        }

        foreach (AddressRange[] batch in _ranges.Chunk(PagerCore.CaptureRangesMax))
        {
            int status = _program.Capture(batch, changes);
            if (status == -Errno.EAGAIN)
            {
                return false;
            }

            LogCaptured(batch.Length, batch[0].Start, status);
            if (status == -Errno.EBUSY)
            {
                // Of another userfaultfd: for now it stays out.
                _refused.UnionWith(batch.Where(range => _program.FindRegistered(range.Start) == Errno.ENOENT));
            }
        }

        return isComplete;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The program has {Resident} MiB of {Bound} MiB here: its memory is captured from now on")]
    private partial void LogStarted(long resident, long bound);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Captured {Ranges} ranges from {Start:X} on; status {Status}")]
    private partial void LogCaptured(int ranges, ulong start, int status);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Something else uses the program's pages (a device, for example), so that they cannot leave: its memory grows here, above --local")]
    private partial void LogShared();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The sponsor has no more memory to lend: the program's grows here, above --local; raise the sponsor's --memory")]
    private partial void LogFull();
}
