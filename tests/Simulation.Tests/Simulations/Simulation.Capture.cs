using Hecatonchire.Install;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// Instead of asking for segments, the program maps its memory itself, and the pager takes it over piece by piece, as it finds it: by a look at the mappings
/// that may be old by the time of the request.
/// </summary>
internal sealed partial class Simulation
{
    /// <summary>A range that was seen without a registration, and <see cref="PagerCore.PlaceChanges"/> before the look.</summary>
    private (int First, int Pages, long PlaceChanges) _seen;

    private const int OtherFirst = 1000;

    private static readonly AddressRange[] OtherMemory =
        [new(SimulatedProgramMemory.AddressOf(OtherFirst), SimulatedProgramMemory.AddressOf(OtherFirst + SimulatedProgramMemory.OtherPages))];

    public long Captured { get; private set; }

    private void MapOwnMemory()
    {
        int first = 0;
        for (int i = 0; i < 4; i++)
        {
            int pages = i == 1 ? OtherFirst - first : _random.Next(64, 480);
            _memory.MapOwn(first, pages);
            _segments.Add(new SimulatedSegment(first, pages));
            first += pages;
            if (i == 1)
            {
                // In the midst of it, where streams come by.
                _memory.MapOther(OtherFirst, SimulatedProgramMemory.OtherPages);
                first = OtherFirst + SimulatedProgramMemory.OtherPages;
            }
        }

        // One for each page, and for what leaves meanwhile.
        EnsureSlots(first + _settings.StagingPages + 64);
    }

    private void StepCapture(bool mayStart)
    {
        // Some looks are quite old when the request comes.
        if (!_settings.Captures || HasRequest || _random.Next(_seen.PlaceChanges % 3 == 0 && _seen.Pages > 0 ? 500 : 20) != 0)
        {
            return;
        }

        if (_seen.Pages == 0)
        {
            if (mayStart)
            {
                Look();
            }

            return;
        }

        (int first, int pages, long placeChanges) = _seen;
        _seen = default;
        Post(
            new PagerRequest(PagerRequestKind.Capture)
            {
                Ranges = [new AddressRange(SimulatedProgramMemory.AddressOf(first), SimulatedProgramMemory.AddressOf(first + pages))],
                PlaceChanges = placeChanges,
            },
            request => Captured += request.Status == 0 ? pages : 0);
        if (_random.Next(4) == 0)
        {
            Post(new PagerRequest(PagerRequestKind.Measure) { OutsidePages = _random.Next(200) }, Succeeded);
        }
    }

    private void Look()
    {
        long placeChanges = _core.PlaceChanges;
        SimulatedSegment segment = _segments[_random.Next(_segments.Count)];
        int first = segment.First + _random.Next(segment.Pages);
        for (bool isWhole = _random.Next(2) == 0; isWhole && first > segment.First && _memory.IsOwn(first - 1);)
        {
            first--;
        }

        int end = first;
        while (end < segment.First + segment.Pages && _memory.IsOwn(end) && end - first < 300)
        {
            end++;
        }

        _seen = (first, end - first, placeChanges);
    }

    /// <summary>The program unmaps all of it.</summary>
    private void UnmapAll()
    {
        foreach (SimulatedSegment segment in _segments)
        {
            _memory.Replace(segment.First, segment.Pages, KernelPage.Unmapped);
        }

        _segments.Clear();
        for (int i = 0; i < HangSteps && (_memory.IsChanging || _core.IsChangePending); i++)
        {
            Step(mayStart: false);
        }
    }
}
