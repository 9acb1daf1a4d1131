using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Pages;

public class PageTransitionsTests
{
    /// <summary>Every pair that may happen; all others must be impossible.</summary>
    private static readonly Dictionary<(PageState State, PageEvent Event), PageState> Allowed = new()
    {
        [(PageState.Untouched, PageEvent.ZeroFill)] = PageState.Resident,
        [(PageState.Untouched, PageEvent.Adopt)] = PageState.Resident,
        [(PageState.Untouched, PageEvent.Discard)] = PageState.Untouched,
        [(PageState.Untouched, PageEvent.Lose)] = PageState.Lost,
        [(PageState.Resident, PageEvent.TakeStart)] = PageState.Taking,
        [(PageState.Resident, PageEvent.DropStart)] = PageState.Dropping,
        [(PageState.Fetching, PageEvent.FetchDone)] = PageState.Resident,
        [(PageState.Fetching, PageEvent.FetchHeld)] = PageState.Held,
        [(PageState.Fetching, PageEvent.FetchAborted)] = PageState.Remote,
        [(PageState.Fetching, PageEvent.FetchLost)] = PageState.Lost,
        [(PageState.Held, PageEvent.HeldInstall)] = PageState.Resident,
        [(PageState.Held, PageEvent.HeldRelease)] = PageState.Remote,
        [(PageState.Held, PageEvent.Discard)] = PageState.Untouched,
        [(PageState.Taking, PageEvent.TakeDone)] = PageState.Leaving,
        [(PageState.Taking, PageEvent.TakeBusy)] = PageState.Resident,
        [(PageState.Taking, PageEvent.TakeHole)] = PageState.Untouched,
        [(PageState.Leaving, PageEvent.LeaveClean)] = PageState.Remote,
        [(PageState.Leaving, PageEvent.LeaveZero)] = PageState.Untouched,
        [(PageState.Leaving, PageEvent.LeaveAcknowledged)] = PageState.Remote,
        [(PageState.Leaving, PageEvent.Recall)] = PageState.Resident,
        [(PageState.Leaving, PageEvent.Discard)] = PageState.Untouched,
        [(PageState.Leaving, PageEvent.Lose)] = PageState.Lost,
        [(PageState.Remote, PageEvent.FetchStart)] = PageState.Fetching,
        [(PageState.Remote, PageEvent.Discard)] = PageState.Untouched,
        [(PageState.Remote, PageEvent.Lose)] = PageState.Lost,
        [(PageState.Lost, PageEvent.DropStart)] = PageState.Dropping,
        [(PageState.Dropping, PageEvent.DropDone)] = PageState.Untouched,
        [(PageState.Resident, PageEvent.ClearStart)] = PageState.Clearing,
        [(PageState.Clearing, PageEvent.ClearDone)] = PageState.Remote,
        [(PageState.Clearing, PageEvent.ClearBusy)] = PageState.Resident,
        [(PageState.Resident, PageEvent.Vanish)] = PageState.Untouched,
        [(PageState.Lost, PageEvent.Vanish)] = PageState.Untouched,
    };

    [Fact]
    public void Every_pair_of_state_and_event_is_as_the_table_says()
    {
        PageState[] states = Enum.GetValues<PageState>();
        PageEvent[] events = Enum.GetValues<PageEvent>();
        Assert.Equal(PageTransitions.States, states.Length);
        Assert.Equal(PageTransitions.Events, events.Length);
        foreach (PageState state in states)
        {
            foreach (PageEvent happened in events)
            {
                PageState expected = Allowed.GetValueOrDefault((state, happened), PageTransitions.Impossible);
                Assert.True(expected == PageTransitions.Next(state, happened), $"{happened} in {state}");
            }
        }
    }

    [Fact]
    public void The_only_copy_is_never_forgotten_without_the_programs_word_or_a_sponsors()
    {
        // What leaves memory must have been acknowledged, be clean, be zero, or be given up.
        PageEvent[] honest = [PageEvent.LeaveAcknowledged, PageEvent.LeaveClean];
        foreach (((PageState State, PageEvent Event) from, PageState to) in Allowed)
        {
            if (to == PageState.Remote && from.State == PageState.Leaving)
            {
                Assert.Contains(from.Event, honest);
            }
        }
    }
}
