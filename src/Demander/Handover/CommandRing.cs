using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Handover;

/// <summary>
/// The pager's end of the ring (native/app/handover.h): commands to the evictor thread, completions from it. The memory is
/// shared with the program, so nothing read from it is trusted: cookies come from a list kept here, and a
/// completion that does not match it makes the ring <see cref="IsBroken"/>.
/// </summary>
internal sealed unsafe class CommandRing : IDisposable
{
    private const int Entries = HandoverAbi.RingEntries;

    private readonly byte* _memory;
    private readonly RingHeader* _header;
    private readonly int _commandsEvent;
    private readonly ulong[] _cookies = new ulong[Entries];
    private readonly uint[] _pages = new uint[Entries];
    private uint _posted;
    private uint _published;
    private uint _answered;
    private uint _generation;

    /// <summary>
    /// Maps the ring and gives the evictor the key by which it hashes what it takes. Of one that another pager has had, the commands are the evictor's to
    /// forget; what generation it is in goes on.
    /// </summary>
    public CommandRing(int memoryDescriptor, int commandsEvent, ReadOnlySpan<ulong> hashKey)
    {
        _memory = NativeMemoryMap.Share(memoryDescriptor, RingHeader.Size);
        _header = (RingHeader*)_memory;
        hashKey.CopyTo(new Span<ulong>(_memory + RingHeader.HashKeyOffset, hashKey.Length));
        _commandsEvent = commandsEvent;
        _generation = _header->Generation;
    }

    /// <summary>The key that a ring of another pager has: what was hashed before must compare.</summary>
    public static PageHash ReadHash(int memoryDescriptor)
    {
        byte* memory = NativeMemoryMap.Share(memoryDescriptor, RingHeader.Size);
        var hash = new PageHash(new ReadOnlySpan<byte>(memory + RingHeader.HashKeyOffset, PageHash.KeyWords * sizeof(ulong)));
        _ = Libc.Unmap(memory, RingHeader.Size);
        return hash;
    }

    /// <summary>True when memory of the program was captured.</summary>
    public bool HasCaptured => Volatile.Read(ref _header->HasCaptured) != 0;

    public bool IsBroken { get; private set; }

    public int FreeCommands => Entries - (int)(_posted - _answered);

    public void Post(uint operation, int pages, ulong source, ulong target, ulong cookie)
    {
        uint slot = _posted % Entries;
        _cookies[slot] = cookie;
        _pages[slot] = (uint)pages;
        ((EvictorCommand*)(_memory + RingHeader.CommandsOffset))[slot] = new EvictorCommand
        {
            Operation = operation,
            Pages = (uint)pages,
            Source = source,
            Target = target,
            Cookie = cookie,
            Generation = _generation,
        };
        _posted++;
    }

    public void Submit()
    {
        if (_posted == _published)
        {
            return;
        }

        Volatile.Write(ref _header->CommandsHead, _posted);
        _published = _posted;
        // The evictor sets its word, then looks at the queue again; this order must be the other way round, and strict.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _header->EvictorSleeping) != 0 && Interlocked.Exchange(ref _header->EvictorSleeping, 0) != 0)
        {
            ulong one = 1;
            _ = Libc.Write(_commandsEvent, &one, sizeof(ulong));
        }
    }

    public int Poll(Span<EvictorCompletion> completions)
    {
        uint head = Volatile.Read(ref _header->CompletionsHead);
        int count = 0;
        while (_answered != head && count < completions.Length)
        {
            uint slot = _answered % Entries;
            EvictorCompletion completion = ((EvictorCompletion*)(_memory + RingHeader.CompletionsOffset))[slot];
            if (_answered == _published || completion.Cookie != _cookies[slot] || completion.Pages > _pages[slot])
            {
                IsBroken = true;
                return count;
            }

            completions[count++] = completion;
            _answered++;
        }

        if (count > 0)
        {
            Volatile.Write(ref _header->CompletionsTail, _answered);
        }

        return count;
    }

    /// <summary>
    /// Keeps the evictor from moving pages until <see cref="EndReading"/>, while events of the program are read. False while it is moving some: it has
    /// done in microseconds.
    /// </summary>
    public bool TryBeginReading()
    {
        // The evictor sets its word, then looks at this one; here the other way round, and one of the two sees the other.
        Interlocked.Exchange(ref _header->PagerReading, 1);
        if (Volatile.Read(ref _header->EvictorMoving) == 0)
        {
            return true;
        }

        Volatile.Write(ref _header->PagerReading, 0);
        return false;
    }

    /// <summary><paramref name="isPlaceChanged"/>: the evictor is to carry out no TAKE that was posted before.</summary>
    public void EndReading(bool isPlaceChanged)
    {
        if (isPlaceChanged)
        {
            Volatile.Write(ref _header->Generation, ++_generation);
        }

        Volatile.Write(ref _header->PagerReading, 0);
    }

    /// <summary>True once, where the program begins a fork or is through with one: it goes on with it only when this was called.</summary>
    public bool AcknowledgeFork(out bool begins)
    {
        uint asked = Volatile.Read(ref _header->ForkAsked);
        begins = (asked & 1) != 0;
        if (asked == _header->ForkAcknowledged)
        {
            return false;
        }

        Volatile.Write(ref _header->ForkAcknowledged, asked);
        return true;
    }

    /// <summary>The stacks of the program's threads, as libheca knows them.</summary>
    public void ReadStacks(List<AddressRange> found)
    {
        ulong* stacks = (ulong*)(_memory + RingHeader.StacksOffset);
        for (int i = 0; i < HandoverAbi.StacksMax; i++)
        {
            ulong address = Volatile.Read(ref stacks[2 * i]), bytes = Volatile.Read(ref stacks[(2 * i) + 1]);
            if (address is not 0 and not ulong.MaxValue && bytes <= ulong.MaxValue - address)
            {
                found.Add(new AddressRange(address, address + bytes));
            }
        }
    }

    /// <summary>From now on the program has memory that it can lose with its pager.</summary>
    public void NoteCaptured() => Volatile.Write(ref _header->HasCaptured, 1);

    /// <summary>The evictor's thread id, as the program says; 0 until it runs.</summary>
    public int EvictorThread => Volatile.Read(ref _header->EvictorThread);

    /// <summary>The hash of the staging page that a completed TAKE filled, as the evictor computed it.</summary>
    public ulong StagedHash(int stagingIndex) => ((ulong*)(_memory + RingHeader.StagedHashesOffset))[stagingIndex];

    /// <summary>Announces that the pager is about to sleep. False when a completion is already there.</summary>
    public bool TrySleep()
    {
        Interlocked.Exchange(ref _header->PagerSleeping, 1);
        if (Volatile.Read(ref _header->CompletionsHead) == _answered)
        {
            return true;
        }

        WakeUp();
        return false;
    }

    public void WakeUp() => Volatile.Write(ref _header->PagerSleeping, 0);

    public void Dispose() => _ = Libc.Unmap(_memory, RingHeader.Size);
}
