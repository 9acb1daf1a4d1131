using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Staging;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>
/// Going on where another pager has died, in the midst of anything. Of each page the kernel knows whether it is in the program or in staging, and that
/// is what counts; the table that was left says where it is otherwise. A page that is here keeps no slot: what the dead pager was writing to it is not known.
/// The evictor has carried out what was ordered, the sponsor has cut off what was sent, and nothing is done to the program before it holds the new table.
/// <para>
/// Where the address space has changed and the dead pager had not followed, something else may be in the page's place: there the table alone counts, as long as
/// the change is to be carried out. It is done anew from where it had come to, and what it finds at its end beside what it knows of becomes resident.
/// </para>
/// </summary>
internal sealed unsafe partial class PagerCore
{
    private const int PresenceStep = 4096;

    /// <summary>The first so many changes of all are another pager's.</summary>
    private long _changesLeft;

    private readonly record struct LeftPage(PageState State, long Slot, int Index);

    private sealed class LeftTables(PageTableFile file, AddressChange[] changes, ulong halfMoved, bool[] isStaged)
    {
        public PageTableFile File => file;

        public AddressChange[] Changes => changes;

        public bool[] IsStaged => isStaged;

        public PageId?[] Leaving { get; } = new PageId?[isStaged.Length];

        /// <summary>What the tables say of a page there. Of the target of a move that had begun they say what may be of another page, or of the same again.</summary>
        public LeftPage At(in PageEntry entry, ulong address) => address == halfMoved ? default : new(entry.State, entry.Slot, entry.Index);

        public bool IsChanging(ulong address) => Array.Exists(changes, change => address >= change.Start && address < change.End);
    }

    /// <summary>
    /// Before the first round. Slabs are in the slot map already. Throws <see cref="InvalidDataException"/> where what was left is not whole: the program
    /// must not go on then.
    /// </summary>
    /// <param name="left">The tables.</param>
    /// <param name="unnoted">Changes of the address space that the dead pager had read and not written down there; no forks.</param>
    public void TakeOver(PageTableFile left, params ReadOnlySpan<FaultEvent> unnoted)
    {
        AddressChange[] changes = ChangesOf(left, unnoted, out ulong halfMoved);
        var tables = new LeftTables(left, changes, halfMoved, FindStaged());
        long resident = 0;
        foreach ((int number, ulong address, long pages) in left.Segments)
        {
            SegmentIdentity identity = left.Identities[number];
            long whole = PagesLeft(address, pages, in identity);
            var segment = Segment.Create(number, address, whole, _tables, identity with { ResizedFrom = 0, ResizedTo = 0 });
            _segments.Add(segment);
            resident += TakeOver(segment, tables);
        }

        TakeOverStaging(tables);
        _occupied += resident;
        NoteInherited(Math.Min(left.InheritedPages, resident));
        UpdateBudget();
        EnsureQueued(_occupied + LiftPages);
        CountInstalled((int)resident);
        for (Segment? segment = _segments.FindFrom(0); segment is not null; segment = _segments.FindFrom(segment.End))
        {
            for (long page = segment.NextTouched(0, segment.Pages); page < segment.Pages; page = segment.NextTouched(page + 1, segment.Pages))
            {
                ref PageEntry entry = ref segment.Entries[page];
                if (entry.State == PageState.Resident)
                {
                    Admit(new PageId(segment.Number, page), ref entry, PageArrival.Returned);
                }
            }
        }

        Array.ForEach(left.Placed, placed => NotePlaced(placed.Start, placed.End));
        _changesLeft = changes.Length;
        Array.ForEach(changes, change => NoteChange(in change, isRead: false));
    }

    /// <summary>The program holds the new table: who waits for a page asks for it anew. What was write-protected is not, for its slot is forgotten.</summary>
    public void BeginAfterTakeOver()
    {
        for (Segment? segment = _segments.FindFrom(0); segment is not null; segment = _segments.FindFrom(segment.End))
        {
            if (!_program.TellsChanges)
            {
                _ = _program.Unprotect(segment.Address, (int)segment.Pages);
            }

            _ = _program.Wake(segment.Address, segment.Pages);
        }
    }

    /// <summary>
    /// In place of <see cref="BeginAfterTakeOver"/>: its share in the slots ends. Another pager may go on from the tables that it has made: they stay as they are.
    /// On the pager thread, or before it runs.
    /// </summary>
    public void Abandon()
    {
        for (Segment? segment = _segments.FindFrom(0); segment is not null; segment = _segments.FindFrom(segment.End))
        {
            for (long page = segment.NextTouched(0, segment.Pages); page < segment.Pages; page = segment.NextTouched(page + 1, segment.Pages))
            {
                if (segment.Entries[page].Slot != PageEntry.NoSlot)
                {
                    _slots.Release(segment.Entries[page].Slot);
                }
            }
        }

        LeaveConnections();
    }

    /// <summary>What is to be carried out, and from where on. <paramref name="halfMoved"/>: the address of a page whose entry is to be moved there again; 0: there is none.</summary>
    private AddressChange[] ChangesOf(PageTableFile left, ReadOnlySpan<FaultEvent> unnoted, out ulong halfMoved)
    {
        halfMoved = 0;
        LeftChange[] noted = left.Changes;
        var changes = new AddressChange[noted.Length + unnoted.Length];
        if (changes.Length > _changes.Length)
        {
            throw new InvalidDataException("too much was changing in its address space when its pager died");
        }

        for (int i = 0; i < noted.Length; i++)
        {
            ref readonly LeftChange change = ref noted[i];
            ulong cursor = change.Kind == FaultKind.Remapped ? change.Cursor & ~PageTableFile.IsMoving : change.Start;
            if (cursor < change.Start || cursor > change.End)
            {
                throw new InvalidDataException("the page tables are damaged");
            }

            if (cursor != change.Cursor && change.Kind == FaultKind.Remapped)
            {
                if (IsBlank(left, cursor))
                {
                    cursor += PageSize.Bytes;
                }
                else
                {
                    halfMoved = change.Target + (cursor - change.Start);
                }
            }

            changes[i] = new AddressChange(change.Kind, change.Start, change.End, change.Target, cursor);
        }

        for (int i = 0; i < unnoted.Length; i++)
        {
            ref readonly FaultEvent change = ref unnoted[i];
            changes[noted.Length + i] = new AddressChange(change.Kind, change.Address, change.End, change.Target, change.Address);
        }

        return changes;
    }

    private static bool IsBlank(PageTableFile left, ulong address)
    {
        foreach ((int number, ulong start, long pages) in left.Segments)
        {
            if (address >= start && address < start + ((ulong)pages << PageSize.Shift))
            {
                return left.Tables(number).Entries[(address - start) >> PageSize.Shift].State == PageState.Untouched;
            }
        }

        return true;
    }

    private bool[] FindStaged()
    {
        bool[] isStaged = new bool[_staging.Count * StagingBlocks.BlockPages];
        for (int at = 0; at < isStaged.Length;)
        {
            int runs = Check(_program.FindStaged(at, isStaged.Length - at, _present));
            for (int i = 0; i < runs; i++)
            {
                isStaged.AsSpan((int)(_present[i].Start >> PageSize.Shift), (int)_present[i].Pages).Fill(true);
            }

            at = runs == _present.Length ? (int)(_present[runs - 1].End >> PageSize.Shift) : isStaged.Length;
        }

        return isStaged;
    }

    /// <summary>Returns how many of its pages are in the program.</summary>
    private long TakeOver(Segment segment, LeftTables tables)
    {
        bool[] isPresent = new bool[PresenceStep];
        PageTables left = tables.File.Tables(segment.Number);
        long resident = 0;
        for (long first = 0; first < segment.Pages; first += PresenceStep)
        {
            int count = (int)Math.Min(PresenceStep, segment.Pages - first);
            bool isAnyPresent = FindPresent(segment, first, isPresent.AsSpan(0, count));
            if (!isAnyPresent && tables.File.NextWithData(segment.Number, first) >= first + count)
            {
                // Nor is anything of it anywhere else. To read of the table there would give it memory.
                continue;
            }

            for (int i = 0; i < count; i++)
            {
                long page = first + i;
                ulong address = segment.Address + ((ulong)page << PageSize.Shift);
                LeftPage before = tables.At(in left.Entries[page], address);
                PageState state = isPresent[i] && before.State is not (PageState.Lost or PageState.Resident) && !tables.IsChanging(address) && IsRegistered(address)
                    ? PageState.Resident
                    : StateWithout(in before, tables.IsStaged);
                switch (state)
                {
                    case PageState.Untouched:
                        continue;
                    case PageState.Resident:
                        segment.Touch(page);
                        resident++;
                        segment.Entries[page].Restore(state, PageEntry.NoSlot, 0);
                        break;
                    case PageState.Leaving:
                        segment.Touch(page);
                        _ = tables.Leaving[before.Index] is null ? 0 : throw new InvalidDataException("two pages are at one place in staging");
                        tables.Leaving[before.Index] = new PageId(segment.Number, page);
                        segment.Entries[page].Restore(state, PageEntry.NoSlot, before.Index);
                        segment.Hashes[page] = _program.StagedHash(before.Index);
                        break;
                    case PageState.Remote:
                        segment.Touch(page);
                        _ = _slots.TryClaim(before.Slot) ? 0 : throw new InvalidDataException($"page {page} of segment {segment.Number} is in a slot that is none");
                        segment.Entries[page].Restore(state, before.Slot, 0);
                        segment.Hashes[page] = left.Hashes[page];
                        Counters.RemotePages++;
                        break;
                    default:
                        segment.Touch(page);
                        segment.Entries[page].Restore(PageState.Lost, PageEntry.NoSlot, 0);
                        break;
                }
            }
        }

        return resident;
    }

    /// <summary>What a page is that is not known to be in the program.</summary>
    private PageState StateWithout(in LeftPage before, bool[] isStaged)
    {
        switch (before.State)
        {
            case PageState.Untouched or PageState.Dropping:
                return PageState.Untouched;
            case PageState.Lost:
                return PageState.Lost;
            case PageState.Resident:
                // If the program has given it up, that is told yet, or the next touch finds zeros as it should.
                return PageState.Resident;
            case PageState.Taking or PageState.Leaving when before.Index < isStaged.Length && isStaged[before.Index]:
                return PageState.Leaving;
            case PageState.Taking:
                // It was not taken. Where it went the kernel has yet to tell; else the program has given it up.
                return _program.TellsChanges ? PageState.Resident : PageState.Untouched;
            case PageState.Leaving:
                throw new InvalidDataException("a page is neither in the program nor in staging");
            default:
                // Without a slot it was being given up.
                return before.Slot == PageEntry.NoSlot ? PageState.Untouched : PageState.Remote;
        }
    }

    private bool FindPresent(Segment segment, long first, Span<bool> isPresent)
    {
        bool isAny = false;
        isPresent.Clear();
        ulong start = segment.Address + ((ulong)first << PageSize.Shift), end = start + ((ulong)isPresent.Length << PageSize.Shift);
        for (ulong at = start; at < end;)
        {
            int runs = Check(_program.FindPresent(at, new AddressRange(at, end).Pages, _present));
            isAny |= runs > 0;
            for (int i = 0; i < runs; i++)
            {
                isPresent.Slice((int)((_present[i].Start - start) >> PageSize.Shift), (int)_present[i].Pages).Fill(true);
            }

            at = runs == _present.Length ? _present[runs - 1].End : end;
        }

        return isAny;
    }

    /// <summary>
    /// True when what is present there is what the table is about: with something in its place that the program has mapped since, the kernel has it yet
    /// to tell, or it is none of the pager's. What is kept out is registered too, with another userfaultfd or for another purpose.
    /// </summary>
    private bool IsRegistered(ulong address) =>
        !_program.TellsChanges || (PagesBeforeKeptOut(address, 1) > 0 && _program.FindRegistered(address) == 0);

    /// <summary>
    /// Pages that are in a range though its table does not say so, after another pager's change: that one had put them where they were before, and died before it
    /// noted it. False while a change is not told yet: something else may be there.
    /// </summary>
    private bool AdmitFound(ulong start, ulong end)
    {
        Segment? segment;
        for (; (segment = _segments.FindFrom(start)) is not null && segment.Address < end; start = segment.End)
        {
            for (ulong at = Math.Max(start, segment.Address), last = Math.Min(end, segment.End); at < last;)
            {
                int runs = _program.FindPresent(at, new AddressRange(at, last).Pages, _present);
                for (int i = 0; i < runs; i++)
                {
                    for (ulong address = _present[i].Start; address < _present[i].End; address += PageSize.Bytes)
                    {
                        if (!TryAdmitFound(segment, address))
                        {
                            return false;
                        }
                    }
                }

                at = runs == _present.Length ? _present[runs - 1].End : last;
            }
        }

        return true;
    }

    private bool TryAdmitFound(Segment segment, ulong address)
    {
        var id = new PageId(segment.Number, (long)((address - segment.Address) >> PageSize.Shift));
        ref PageEntry entry = ref Entry(id);
        if (entry.State is not (PageState.Untouched or PageState.Remote or PageState.Held) || PagesBeforeKeptOut(address, 1) == 0)
        {
            return true;
        }

        int errno = _program.FindRegistered(address);
        if (errno != 0)
        {
            return errno != Errno.EAGAIN;
        }

        _ = GiveUpPage(id);
        EnsureAdoptable(1);
        AdoptPage(segment, id.Page);
        _occupied++;
        CountInstalled(1);
        return true;
    }

    /// <summary>What is in staging goes on from there: the write-backs that were under way are done anew, the rest is given back.</summary>
    private void TakeOverStaging(LeftTables tables)
    {
        for (int block = 0; block < _staging.Count; block++)
        {
            int first = block * StagingBlocks.BlockPages;
            int moved = tables.IsStaged.AsSpan(first, StagingBlocks.BlockPages).Count(true);
            if (moved == 0)
            {
                continue;
            }

            ref StagingBlock left = ref _staging.Occupy(block, moved);
            for (int i = first; i < first + StagingBlocks.BlockPages; i++)
            {
                _staging.Page(i) = default;
                if (tables.Leaving[i] is { } id)
                {
                    _ = Check(-_program.ReadStaging(i, 1, _staging.Mirror(i)));
                    _staging.Page(i) = new StagedPage { Id = id, Slot = PageEntry.NoSlot, State = StagedState.ToWrite };
                    left.Pending++;
                }
            }

            _occupied += moved;
            _departing += moved;
            _inProgram += moved;
            left.IsListed = left.Pending > 0;
            _blocksToWrite += left.IsListed ? 1 : 0;
            RecycleIfDone(block);
        }
    }

    private static int Check(int count) => count >= 0 ? count : throw new InvalidDataException($"the program cannot be looked at: {Errno.Describe(-count)}");
}
