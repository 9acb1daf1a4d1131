using Hecatonchire.Tests.Kernel;

namespace Hecatonchire.Tests.Program;

/// <summary>A stretch of arena pages that is a segment.</summary>
internal sealed class SimulatedSegment(int first, int pages)
{
    public int First { get; } = first;

    public int Pages { get; set; } = pages;

    public Guid Id { get; init; }

    /// <summary>Pages that threads use: less than <see cref="Pages"/> while some are given back politely.</summary>
    public int Usable { get; set; } = pages;
}

/// <summary>One thread of the program: walks over segments at random, in sequence or in strides, reads, writes and checks.</summary>
internal sealed unsafe class SimulatedThread(int number, SimulatedProgramMemory memory, PageModel model, List<SimulatedSegment> segments, int seed)
{
    private readonly Random _random = new(seed);
    private int _page = -1;
    private bool _isWrite;
    private SimulatedSegment? _segment;
    private int _at;
    private int _stride;
    private int _left;

    public long StoppedSince { get; private set; } = -1;

    public long Accesses { get; private set; }

    public long BusErrors { get; private set; }

    /// <summary>Pages that the thread stays away from: someone gives them up politely.</summary>
    public Func<int, bool> IsAvoided { get; set; } = _ => false;

    /// <summary>Told of a page whose access raised SIGBUS.</summary>
    public Action<int> OnBus { get; set; } = _ => { };

    /// <summary>Told of a page whose access raised SIGSEGV.</summary>
    public Action<int> OnSegv { get; set; } = _ => { };

    /// <summary>The page of the access it is in; -1: none.</summary>
    public int Page => _page;

    public bool IsIdle => _page < 0;

    /// <summary>Goes on. <paramref name="mayStart"/> false: only ends the access it is in.</summary>
    public void Step(long now, bool mayStart)
    {
        if (memory.IsWaiting(number))
        {
            return;
        }

        StoppedSince = -1;
        if (_page < 0 && (!mayStart || !Choose()))
        {
            return;
        }

        Touch touch = memory.Access(number, _page, _isWrite);
        switch (touch)
        {
            case Touch.Stopped:
                StoppedSince = now;
                return;
            case Touch.Bus:
                BusErrors++;
                OnBus(_page);
                model.Lose(_page);
                break;
            case Touch.Segv:
                OnSegv(_page);
                break;
            case Touch.Done when _isWrite:
                Write();
                break;
            case Touch.Done:
                model.Check(_page, memory.Data(_page));
                break;
        }

        Accesses++;
        _page = -1;
    }

    /// <summary>Reads one page next.</summary>
    public void Read(int page) => (_page, _isWrite) = (page, false);

    private bool Choose()
    {
        if (_left-- <= 0 || _segment is null || !segments.Contains(_segment))
        {
            if (segments.Count == 0)
            {
                return false;
            }

            _segment = segments[_random.Next(segments.Count)];
            _left = _random.Next(1, 200);
            _at = _random.Next(Math.Max(1, _segment.Usable));
            _stride = _random.Next(4) switch { 0 => 0, 1 => 1, 2 => _random.Next(2, 9), _ => -_random.Next(1, 5) };
        }

        if (_segment.Usable == 0)
        {
            return false;
        }

        _at = _stride == 0 ? _random.Next(_segment.Usable) : (((_at + _stride) % _segment.Usable) + _segment.Usable) % _segment.Usable;
        if (IsAvoided(_segment.First + _at))
        {
            return false;
        }

        _page = _segment.First + _at;
        _isWrite = _random.Next(100) < 40;
        return true;
    }

    private void Write()
    {
        byte* data = memory.Data(_page);
        if (model.IsLost(_page) && !model.IsUncertain(_page))
        {
            model.Check(_page, data);
        }

        int word = _random.Next(PageModel.Words);
        switch (_random.Next(12))
        {
            case 0:
                for (int i = 0; i < PageModel.Words; i++)
                {
                    model.Write(_page, i, 0, data);
                }

                break;
            case 1 when !model.IsUncertain(_page):
                model.Write(_page, word, model.Expected(_page, word), data);
                break;
            case < 7:
                // Back and forth between two versions: what a page had before, it has again.
                model.Write(_page, 0, (ulong)_random.Next(1, 3), data);
                break;
            default:
                model.Write(_page, word, (ulong)_random.NextInt64(1, long.MaxValue), data);
                break;
        }
    }
}
