using Hecatonchire.Pages;
using Hecatonchire.Tests.Kernel;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// One of several sponsors is lost, and with it a slab. Pages that are in the program, in staging, or in the pager's hands survive it, also those that were the same as in
/// their slots; and nothing is written there any more.
/// </summary>
internal sealed unsafe partial class Simulation
{
    private readonly List<ulong> _slabs = [];
    private readonly HashSet<int> _mayBeLost = [];

    public int Losses { get; private set; }

    private void StepLoss(bool mayStart)
    {
        if (_settings.LossesPerMillion == 0 || !mayStart || _slabs.Count == 0 || _random.Next(1_000_000) >= _settings.LossesPerMillion)
        {
            return;
        }

        ulong slab = _slabs[_random.Next(_slabs.Count)];
        _ = _slabs.Remove(slab);
        NoteWhatIsOnlyIn(slab);
        _sponsor.LoseSlab(slab);
        _core.Slots.Close(slab);
        Losses++;
        EnsureSlots(0);
    }

    private void NoteWhatIsOnlyIn(ulong slab)
    {
        for (Segment? segment = _core.Segments.FindFrom(0); segment is not null; segment = _core.Segments.FindFrom(segment.End))
        {
            for (long page = 0; page < segment.Pages; page++)
            {
                ref PageEntry entry = ref segment.Entries[page];
                if (entry.Slot != PageEntry.NoSlot && entry.State is PageState.Remote or PageState.Held or PageState.Fetching or PageState.Clearing
                    && _core.Slots.Locate(entry.Slot, out _) == slab)
                {
                    _ = _mayBeLost.Add(PageOf(segment) + (int)page);
                }
            }
        }
    }

    private void CheckLoss(int page)
    {
        if (_settings.LossesPerMillion > 0 && !_settings.TellsChanges && !_mayBeLost.Contains(page))
        {
            throw new SimulationException($"SIGBUS for page {page}, which was here when its sponsor was lost");
        }
    }
}
