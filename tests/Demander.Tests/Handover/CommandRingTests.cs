using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.WriteBack;
using Xunit;

namespace Hecatonchire.Tests.Handover;

/// <summary>The pager's end of the ring against an evictor played by the test over the same memfd.</summary>
public sealed unsafe class CommandRingTests : IDisposable
{
    private readonly int _file = Libc.MemoryFile("heca-test-ring", Libc.MFD_CLOEXEC);
    private readonly int _event = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
    private readonly byte* _memory;
    private readonly CommandRing _ring;
    private readonly EvictorCompletion[] _completions = new EvictorCompletion[HandoverAbi.RingEntries];

    public CommandRingTests()
    {
        Assert.Equal(0, Libc.Truncate(_file, RingHeader.Size));
        _memory = (byte*)NativeMemoryMap.Share(_file, RingHeader.Size);
        _ring = new CommandRing(_file, _event, new ulong[PageHash.KeyWords]);
    }

    private RingHeader* Header => (RingHeader*)_memory;

    public void Dispose()
    {
        _ring.Dispose();
        _ = Libc.Unmap(_memory, RingHeader.Size);
        _ = Libc.Close(_file);
        _ = Libc.Close(_event);
    }

    [Fact]
    public void Nothing_is_read_during_a_move_and_what_was_posted_before_a_change_is_of_an_older_generation()
    {
        Header->EvictorMoving = 1;
        Assert.False(_ring.TryBeginReading());
        Assert.Equal(0u, Header->PagerReading);

        Header->EvictorMoving = 0;
        _ring.Post(HandoverAbi.Take, 5, 0, 0, 1);
        Assert.True(_ring.TryBeginReading());
        Assert.Equal(1u, Header->PagerReading);
        _ring.EndReading(isPlaceChanged: false);
        Assert.Equal((0u, 0u), (Header->PagerReading, Header->Generation));
        _ring.Post(HandoverAbi.Take, 5, 0, 0, 2);

        Assert.True(_ring.TryBeginReading());
        _ring.EndReading(isPlaceChanged: true);
        _ring.Post(HandoverAbi.Take, 5, 0, 0, 3);
        _ring.Submit();
        Assert.Equal([0u, 0u, 1u], Enumerable.Range(0, 3).Select(_ => TakeCommand().Generation));
        Assert.Equal(1u, Header->Generation);
    }

    [Fact]
    public void Commands_arrive_in_order_and_answers_come_back_in_order_however_often_the_ring_goes_round()
    {
        var random = new Random(4);
        ulong posted = 0, taken = 0, polled = 0;
        while (polled < 5000)
        {
            int free = _ring.FreeCommands;
            Assert.Equal(HandoverAbi.RingEntries - (int)(posted - polled), free);
            for (int i = random.Next(free + 1); i > 0; i--)
            {
                _ring.Post(HandoverAbi.Take, 5, posted, posted + 1, ++posted);
            }

            _ring.Submit();
            for (int i = random.Next(300); i > 0 && Header->CommandsTail != Header->CommandsHead; i--)
            {
                EvictorCommand command = TakeCommand();
                Assert.Equal((taken, taken + 1, ++taken), (command.Source, command.Target, command.Cookie));
                Answer(command.Cookie, 0, 5);
            }

            int count = _ring.Poll(_completions.AsSpan(0, random.Next(1, 300)));
            for (int i = 0; i < count; i++)
            {
                Assert.Equal(++polled, _completions[i].Cookie);
            }
        }

        Assert.False(_ring.IsBroken);
    }

    [Fact]
    public void A_sleeping_evictor_is_woken_once()
    {
        Header->EvictorSleeping = 1;
        _ring.Submit();
        Assert.Equal(0UL, DrainEvent());
        _ring.Post(HandoverAbi.Drop, 1, 0, 0, 1);
        _ring.Submit();
        Assert.Equal(0U, Header->EvictorSleeping);
        Assert.Equal(1UL, DrainEvent());
        _ring.Post(HandoverAbi.Drop, 1, 0, 0, 2);
        _ring.Submit();
        Assert.Equal(0UL, DrainEvent());
    }

    [Fact]
    public void The_pager_does_not_sleep_over_an_answer()
    {
        Assert.True(_ring.TrySleep());
        Assert.Equal(1U, Header->PagerSleeping);
        _ring.WakeUp();
        PostAndTake(cookie: 9, pages: 1);
        Answer(9, 0, 1);
        Assert.False(_ring.TrySleep());
        Assert.Equal(0U, Header->PagerSleeping);
    }

    [Fact]
    public void A_cookie_that_was_not_sent_breaks_the_ring()
    {
        PostAndTake(cookie: 9, pages: 1);
        Answer(10, 0, 1);
        Assert.Equal(0, _ring.Poll(_completions));
        Assert.True(_ring.IsBroken);
    }

    [Fact]
    public void More_pages_than_were_asked_for_break_the_ring()
    {
        PostAndTake(cookie: 9, pages: 3);
        Answer(9, 0, 4);
        Assert.Equal(0, _ring.Poll(_completions));
        Assert.True(_ring.IsBroken);
    }

    [Fact]
    public void An_answer_to_nothing_breaks_the_ring()
    {
        Answer(0, 0, 0);
        Assert.Equal(0, _ring.Poll(_completions));
        Assert.True(_ring.IsBroken);
    }

    [Fact]
    public void An_index_far_ahead_breaks_the_ring_after_the_answers_that_are_due()
    {
        PostAndTake(cookie: 9, pages: 3);
        Answer(9, 0, 3);
        Header->CompletionsHead += 100_000;
        Assert.Equal(1, _ring.Poll(_completions));
        Assert.True(_ring.IsBroken);
    }

    private void PostAndTake(ulong cookie, int pages)
    {
        _ring.Post(HandoverAbi.Take, pages, 0, 0, cookie);
        _ring.Submit();
        Assert.Equal(cookie, TakeCommand().Cookie);
    }

    private EvictorCommand TakeCommand()
    {
        uint tail = Header->CommandsTail;
        EvictorCommand command = ((EvictorCommand*)(_memory + RingHeader.CommandsOffset))[tail % HandoverAbi.RingEntries];
        Volatile.Write(ref Header->CommandsTail, tail + 1);
        return command;
    }

    private void Answer(ulong cookie, int status, uint pages)
    {
        uint head = Header->CompletionsHead;
        ((EvictorCompletion*)(_memory + RingHeader.CompletionsOffset))[head % HandoverAbi.RingEntries] =
            new EvictorCompletion { Cookie = cookie, Status = status, Pages = pages };
        Volatile.Write(ref Header->CompletionsHead, head + 1);
    }

    private ulong DrainEvent()
    {
        ulong value = 0;
        return Libc.Read(_event, &value, sizeof(ulong)) == sizeof(ulong) ? value : 0;
    }
}
