using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

/// <summary>What the program asks for, as the session does it: one request at a time, slots before pages.</summary>
internal sealed partial class Simulation
{
    private readonly Queue<(PagerRequest Request, Action<PagerRequest> Then)> _requests = new();
    private PagerRequest? _current;
    private Action<PagerRequest> _then = _ => { };
    private long _currentSince;
    private long _reservedPages;
    private int _allocations;
    private (int First, int Pages) _avoided;

    /// <summary>No thread can be in the range that is given up, so afterwards every page of it must read as zero.</summary>
    private bool _isAlone;

    private bool HasRequest => _current is not null || _requests.Count > 0;

    private bool IsAvoided(int page) => page >= _avoided.First && page < _avoided.First + _avoided.Pages;

    private void StepRequests(bool mayStart)
    {
        if (_current is { Done.IsSet: true } done)
        {
            _current = null;
            _then(done);
            done.Dispose();
        }

        if (_current is { } waited && _now - _currentSince > HangSteps)
        {
            throw new SimulationException($"hang: request {waited.Kind} (advice {waited.Advice}) stands at page {waited.Cursor}, {waited.WaitCursor} of {waited.End}");
        }

        if (_current is null && _requests.TryDequeue(out (PagerRequest Request, Action<PagerRequest> Then) next))
        {
            (_current, _then, _currentSince) = (next.Request, next.Then, _now);
            _core.Post(next.Request);
        }
        else if (_current is null && mayStart && !_settings.Captures && (_segments.Count == 0 || _random.Next(1000) < _settings.RequestsPerThousand))
        {
            Ask();
        }
        else if (_current is null && mayStart && _segments.Count > 0 && _outside.Next(1000) < _settings.OutsidePerThousand)
        {
            AskFromOutside();
        }
    }

    private void Ask()
    {
        int what = _random.Next(12);
        if (_segments.Count == 0 || (what == 0 && _segments.Count < 6))
        {
            Allocate(_random.Next(16, 700));
            return;
        }

        SimulatedSegment segment = _segments[_random.Next(_segments.Count)];
        if (what == 1)
        {
            Free(segment);
        }
        else if (what < 4)
        {
            Resize(segment, _random.Next(1, segment.Pages * 2));
        }
        else
        {
            Advise(segment, _random.Next(6));
        }
    }

    private void Post(PagerRequest request, Action<PagerRequest> then) => _requests.Enqueue((request, then));

    private void EnsureSlots(long pages)
    {
        _reservedPages += pages;
        long missing = _reservedPages - _core.Slots.TotalSlots;
        if (missing > 0)
        {
            uint slots = (uint)((missing + 63) & ~63L);
            ulong slab = _sponsor.AddSlab(slots);
            Assert.True(_core.Slots.Add(slab, slots));
            _slabs.Add(slab);
        }
    }

    private static void Succeeded(PagerRequest request)
    {
        if (request.Status != 0)
        {
            throw new SimulationException($"{request.Kind} failed with {request.Status}");
        }
    }

    private void Allocate(int pages)
    {
        int first = FindRoom(pages);
        if (first < 0)
        {
            return;
        }

        EnsureSlots(pages);
        _memory.Register(first, pages);
        Post(
            new PagerRequest(PagerRequestKind.Allocate)
            {
                Address = SimulatedProgramMemory.AddressOf(first),
                Pages = pages,
                Identity = new SegmentIdentity { Id = new Guid(++_allocations, 0, 0, new byte[8]), ReservePages = _memory.Pages },
            },
            request =>
            {
                Succeeded(request);
                for (int page = first; page < first + pages; page++)
                {
                    _model.Forget(page);
                }

                _segments.Add(new SimulatedSegment(first, pages) { Id = request.Identity.Id });
            });
    }

    private int FindRoom(int pages)
    {
        int run = 0;
        for (int page = 0; page < _memory.Pages; page++)
        {
            run = _memory[page] == KernelPage.Unmapped ? run + 1 : 0;
            if (run == pages)
            {
                return page + 1 - pages;
            }
        }

        return -1;
    }

    private void Free(SimulatedSegment segment)
    {
        BeginGivingUp(segment.First, segment.Pages);
        Post(
            new PagerRequest(PagerRequestKind.Free) { Address = SimulatedProgramMemory.AddressOf(segment.First) },
            request =>
            {
                Succeeded(request);
                EndGivingUp(segment.First, segment.Pages, isUnmapped: true);
                _ = _segments.Remove(segment);
                _reservedPages -= segment.Pages;
                ReturnIdleSlabs();
            });
    }

    private void ReturnIdleSlabs()
    {
        while (_core.Slots.TryRemoveIdle(_core.Segments.TotalPages, out ulong slab, out _))
        {
            _sponsor.RemoveSlab(slab);
            _ = _slabs.Remove(slab);
        }
    }

    private void Resize(SimulatedSegment segment, int pages)
    {
        int before = segment.Pages;
        int end = segment.First + before;
        if (pages > before)
        {
            for (int page = end; page < segment.First + pages; page++)
            {
                if (page >= _memory.Pages || _memory[page] != KernelPage.Unmapped)
                {
                    return;
                }
            }

            EnsureSlots(pages - before);
            _memory.Register(end, pages - before);
        }
        else
        {
            BeginGivingUp(segment.First + pages, before - pages);
        }

        Post(
            new PagerRequest(PagerRequestKind.Resize) { Address = SimulatedProgramMemory.AddressOf(segment.First), Pages = pages },
            request =>
            {
                Succeeded(request);
                (segment.Pages, segment.Usable) = (pages, pages);
                if (pages < before)
                {
                    EndGivingUp(segment.First + pages, before - pages, isUnmapped: true);
                    _reservedPages -= before - pages;
                }

                for (int page = end; page < segment.First + pages; page++)
                {
                    _model.Forget(page);
                }

                ReturnIdleSlabs();
            });
    }

    private void Advise(SimulatedSegment segment, int advice)
    {
        int offset = _random.Next(segment.Pages);
        int pages = _random.Next(1, segment.Pages - offset + 1);
        int first = segment.First + offset;
        if (advice == ProgramAdvice.DontNeed)
        {
            BeginGivingUp(first, pages);
        }

        Post(
            new PagerRequest(PagerRequestKind.Advise) { Address = SimulatedProgramMemory.AddressOf(first), Pages = pages, Advice = advice },
            request =>
            {
                if (!_core.SponsorLost)
                {
                    Succeeded(request);
                }

                if (advice == ProgramAdvice.DontNeed)
                {
                    EndGivingUp(first, pages, isUnmapped: false);
                }
            });
        if (_settings.DropsByProgram)
        {
            int page = segment.First + _random.Next(segment.Pages);
            _memory.DropByProgram(page);
            _model.MakeUncertain(page);
        }
    }

    private void BeginGivingUp(int first, int pages)
    {
        if (!_settings.Rude)
        {
            _avoided = (first, pages);
        }

        _model.Racing = (first, pages);

        // An access that has begun goes on whatever the manners.
        _isAlone = !_settings.Rude && !_settings.DropsByProgram && _threads.All(thread => !IsAvoided(thread.Page));
        for (int page = first; page < first + pages; page++)
        {
            _model.MakeUncertain(page);
        }
    }

    private void EndGivingUp(int first, int pages, bool isUnmapped)
    {
        _avoided = default;
        _model.Racing = default;
        if (isUnmapped)
        {
            for (int page = first; page < first + pages; page++)
            {
                if (_memory[page] is not KernelPage.Missing)
                {
                    throw new SimulationException($"page {page} was given up and is {_memory[page]}");
                }

                _model.Forget(page);
            }

            _memory.Unregister(first, pages);
        }
        else if (_isAlone)
        {
            for (int page = first; page < first + pages; page++)
            {
                _model.Forget(page);
            }
        }
    }

    private void GiveAllUp()
    {
        if (_settings.Captures)
        {
            UnmapAll();
        }

        foreach (SimulatedSegment segment in _segments.ToArray())
        {
            Free(segment);
        }

        Settle();
        for (int i = 0; i < HangSteps && (_core.BlocksInUse > 0 || _core.IsBusy); i++)
        {
            Step(mayStart: false);
        }

        CheckNothingIsLeft();
    }
}
