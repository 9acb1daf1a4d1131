using System.Diagnostics;
using Hecatonchire.Handover;
using Hecatonchire.Interop;

namespace Hecatonchire.Pager;

/// <summary>
/// Puts the pager thread, and the program's evictor with it, where <see cref="CoreChoice"/> says: on the core of the program's only
/// faulting thread, or wherever the scheduler wants. Allocates nothing.
/// </summary>
internal sealed unsafe class CorePlacement
{
    private const int MaskWords = 16;

    private readonly int _process;
    private readonly CommandRing _ring;
    private readonly CoreChoice _choice = new();
    private readonly ulong[] _all = GC.AllocateArray<ulong>(MaskWords, pinned: true);
    private readonly ulong[] _one = GC.AllocateArray<ulong>(MaskWords, pinned: true);
    private readonly byte[] _text = GC.AllocateArray<byte>(1024, pinned: true);
    private int _core = -1;

    /// <param name="process">The program.</param>
    /// <param name="ring">Tells which of the program's threads is its evictor.</param>
    public CorePlacement(int process, CommandRing ring)
    {
        (_process, _ring) = (process, ring);
        fixed (ulong* mask = _all)
        {
            _ = Libc.GetAffinity(0, MaskWords * sizeof(ulong), mask);
        }
    }

    /// <summary>
    /// Called by the pager thread in every round, with the newest fault's thread. True while on that thread's core; never where it serves other
    /// programs too.
    /// </summary>
    public bool Follow(int thread, PagerCounters counters, bool isAlone)
    {
        if (!isAlone)
        {
            Place(-1);
            return false;
        }

        if (_choice.Note(thread, counters, _choice.IsTrying ? Stopwatch.GetTimestamp() : 0))
        {
            Place(_choice.Shares ? CoreOf(_choice.Thread) : -1);
        }

        return _core >= 0;
    }

    private void Place(int core)
    {
        if (core == _core)
        {
            return;
        }

        _core = core;
        Array.Clear(_one);
        if (core >= 0)
        {
            _one[core / 64] = 1UL << (core % 64);
        }

        fixed (ulong* mask = core >= 0 ? _one : _all)
        {
            _ = Libc.SetAffinity(0, MaskWords * sizeof(ulong), mask);
            if (CoreOf(_ring.EvictorThread) >= 0)
            {
                // A thread of this program, as said. Elsewhere it would run where the sponsor or the program's other threads do.
                _ = Libc.SetAffinity(_ring.EvictorThread, MaskWords * sizeof(ulong), mask);
            }
        }
    }

    /// <summary>Field 39 of /proc/PID/task/TID/stat: the core the thread last ran on; -1 when it cannot be read.</summary>
    private int CoreOf(int thread)
    {
        fixed (byte* text = _text)
        {
            int at = Append(text, 0, "/proc/"u8);
            at = AppendNumber(text, at, _process);
            at = Append(text, at, "/task/"u8);
            at = AppendNumber(text, at, thread);
            at = Append(text, at, "/stat\0"u8);
            int descriptor = Libc.OpenPath(text, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
            if (descriptor < 0)
            {
                return -1;
            }

            nint length = Libc.Read(descriptor, text, (nuint)_text.Length);
            _ = Libc.Close(descriptor);
            return length <= 0 ? -1 : Field39(new ReadOnlySpan<byte>(text, (int)length));
        }
    }

    private static int Field39(ReadOnlySpan<byte> stat)
    {
        // The name in parentheses may hold spaces: count from the last one on, which ends field 2.
        int at = stat.LastIndexOf((byte)')') + 2;
        for (int field = 3; field < 39 && at < stat.Length; field++)
        {
            int space = stat[at..].IndexOf((byte)' ');
            if (space < 0)
            {
                return -1;
            }

            at += space + 1;
        }

        return System.Buffers.Text.Utf8Parser.TryParse(stat[at..], out int core, out _) && core >= 0 && core < MaskWords * 64 ? core : -1;
    }

    private static int Append(byte* text, int at, ReadOnlySpan<byte> part)
    {
        part.CopyTo(new Span<byte>(text + at, part.Length));
        return at + part.Length;
    }

    private static int AppendNumber(byte* text, int at, int number)
    {
        _ = System.Buffers.Text.Utf8Formatter.TryFormat(number, new Span<byte>(text + at, 16), out int written);
        return at + written;
    }
}
