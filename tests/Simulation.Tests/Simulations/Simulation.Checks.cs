using Hecatonchire.Pages;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;

namespace Hecatonchire.Tests.Simulations;

/// <summary>The rules that hold between steps.</summary>
internal sealed unsafe partial class Simulation
{
    private void CheckHang()
    {
        if (_now % 64 != 0)
        {
            return;
        }

        for (int i = 0; i < _threads.Length; i++)
        {
            if (_threads[i].StoppedSince >= 0 && _now - _threads[i].StoppedSince > HangSteps)
            {
                throw new SimulationException($"hang: {_memory.Describe(i)}, the pager has it {StateOf(_memory.WaitPage(i))}");
            }

            if (_threads[i].BusErrors > 0 && !_core.SponsorLost && _settings.LossesPerMillion == 0)
            {
                throw new SimulationException("SIGBUS although no sponsor was lost");
            }
        }

        if (_core.ProgramGone || _core.MustStopProgram)
        {
            throw new SimulationException($"the pager gives the program up, errno {_core.Counters.LastProgramErrno}");
        }
    }

    private string StateOf(int page)
    {
        Segment? segment = _core.Segments.Find(SimulatedProgramMemory.AddressOf(page));
        if (segment is null)
        {
            return "in no segment";
        }

        ref PageEntry entry = ref segment.Entries[page - PageOf(segment)];
        return $"{entry.State}{(entry.IsWaiting ? ", waiting" : "")}";
    }

    private static int PageOf(Segment segment) => (int)((segment.Address - SimulatedProgramMemory.Base) >> Units.PageSize.Shift);

    /// <summary>
    /// Invariant 1: a staging page that goes back to the kernel and whose page is not in the program again must be on the sponsor, or
    /// be zero, or have been given up.
    /// </summary>
    private void CheckRecycle(int staged, int page)
    {
        // During a change the staged copy may be of what was at this address before; whether something is lost, reading it back tells.
        if (IsChanging || _memory[page] != KernelPage.Missing || _model.IsUncertain(page) || _model.IsLost(page) || _model.IsZero(page))
        {
            return;
        }

        Segment? segment = _core.Segments.Find(SimulatedProgramMemory.AddressOf(page));
        if (segment is null)
        {
            return;
        }

        ref PageEntry entry = ref segment.Entries[page - PageOf(segment)];
        if (entry.State is PageState.Taking or PageState.Leaving)
        {
            // It came back and leaves again, through another staging page.
            return;
        }

        if (entry.State is not (PageState.Remote or PageState.Fetching or PageState.Held or PageState.Clearing))
        {
            throw new SimulationException($"the last copy of page {page} is dropped from staging; the pager has it {entry.State}");
        }

        if (_core.Slots.IsClosed(entry.Slot))
        {
            // It was there, and is lost since.
            return;
        }

        ulong slab = _core.Slots.Locate(entry.Slot, out uint slot);
        byte* remote = _sponsor.Find(slab, slot, 1);
        if (remote is null || !_model.Matches(page, remote))
        {
            throw new SimulationException($"page {page} is dropped from staging {staged}; its slot does not hold the newest version");
        }
    }

    /// <summary>The pager's books against the kernel's and against its own page table.</summary>
    private void CheckCounters()
    {
        long remote = 0;
        foreach (SimulatedSegment segment in _segments)
        {
            if (_core.Segments.Find(SimulatedProgramMemory.AddressOf(segment.First)) is { } known)
            {
                long skipped = segment.First - PageOf(known);
                PageEntry* entries = known.Entries + skipped;
                for (long page = 0; page < (_settings.Captures ? segment.Pages : known.Pages); page++)
                {
                    if (entries[page].State != PageState.Untouched && !known.IsTouched(skipped + page))
                    {
                        throw new SimulationException($"page {segment.First + page} is {entries[page].State} and in no touched group");
                    }

                    if (entries[page] is { State: PageState.Resident, IsQueued: false })
                    {
                        throw new SimulationException($"page {segment.First + page} is resident and in no eviction queue");
                    }

                    // Once the kernel's pages and the pager's are the same again.
                    if (!IsChanging && !_core.IsChangePending && entries[page].State is PageState.Untouched or PageState.Remote or PageState.Leaving
                        && _memory[segment.First + (int)page] is KernelPage.Present or KernelPage.Zero)
                    {
                        throw new SimulationException($"page {segment.First + page} is in the program, the pager has it {entries[page].State}");
                    }

                    remote += entries[page].State is PageState.Remote or PageState.Held or PageState.Fetching ? 1 : 0;
                }
            }
        }

        if (remote != _core.Counters.RemotePages)
        {
            throw new SimulationException($"{remote} pages are remote, the pager counts {_core.Counters.RemotePages}");
        }

        // Between the kernel's doing and the pager's reading of it they may differ; at rest they must not.
        bool isAtRest = !_memory.EvictorHasWork && !_core.IsBusy && !_settings.DropsByProgram && !IsChanging;
        long counted = _core.InProgramBytes >> Units.PageSize.Shift;

        // What was filled after a removal was told and before it was carried out is found missing when it is taken, or faulted on.
        if (isAtRest && (_settings.TellsChanges ? _memory.InProgram > counted : _memory.InProgram != counted))
        {
            throw new SimulationException($"{_memory.InProgram} pages are in the program, the pager counts {counted}");
        }
    }

    private void CheckNothingIsLeft()
    {
        if (_memory.InProgram != 0 || _core.InProgramBytes != 0 || _core.OccupiedPages != 0 || _core.Counters.DepartingPages != 0)
        {
            throw new SimulationException($"everything is freed; {_memory.InProgram} pages are in the program, the pager counts "
                + $"{_core.InProgramBytes >> 12} in it, {_core.OccupiedPages} occupied, {_core.Counters.DepartingPages} departing");
        }

        if (_core.Slots.FreeSlots != _core.Slots.TotalSlots || _core.BlocksInUse != 0 || _core.Counters.RemotePages != 0)
        {
            throw new SimulationException($"everything is freed; {_core.Slots.TotalSlots - _core.Slots.FreeSlots} slots and "
                + $"{_core.BlocksInUse} staging blocks are in use, {_core.Counters.RemotePages} pages count as remote");
        }
    }
}
