using System.Numerics;
using Hecatonchire.Interop;

namespace Hecatonchire.Placement;

/// <summary>
/// The slots of the slabs that a program and its forked children hold: a bitmap a slab, one bit a slot. A slot number is the slab's index here
/// (upper bits) and the slot in the slab (lower <see cref="SlotBits"/> bits). Next fit with a hint, so that adjacent pages
/// get adjacent slots and travel in one request. A slot can be several pages', of processes that were one when it was written: it is free
/// when each has released it. Used by the pager thread only, but for the two totals, which anybody may read; bitmaps are made when a slab is added.
/// </summary>
internal sealed unsafe class SlotMap : IDisposable
{
    /// <summary>Bits of a slot in its slab: the largest slab is 1 GiB.</summary>
    public const int SlotBits = 18;

    /// <summary>Slabs a session can hold: 4 TiB in slabs of 1 GiB.</summary>
    public const int SlabsMax = 4096;

    private const long SlotInSlabMask = (1L << SlotBits) - 1;

    private readonly Slab[] _slabs = new Slab[SlabsMax];
    private int _count;
    private int _current;
    private readonly List<nint> _directories = [];

    private struct Slab
    {
        public ulong Id;
        public uint Slots;
        public uint Free;
        public uint Cursor;
        public ulong* Used;

        /// <summary>What it held is lost: no slot of it is given out, and what is in one is not what was written.</summary>
        public bool IsClosed;

        /// <summary>Per slot its owners beyond the first; null until there is one that has some.</summary>
        public ushort* Shares;
    }

    /// <summary>
    /// One more place where it is written down which slab an index means: pairs of id and slots, for who goes on when this process has ended.
    /// </summary>
    public void AddDirectory(ulong* directory)
    {
        _directories.Add((nint)directory);
        for (int i = 0; i < _count; i++)
        {
            Write(i);
        }
    }

    /// <summary>It is written there no more.</summary>
    public void RemoveDirectory(ulong* directory) => _ = _directories.Remove((nint)directory);

    public long TotalSlots { get; private set; }

    public long FreeSlots { get; private set; }

    /// <summary>Adds a slab of <paramref name="slots"/> slots (a multiple of 64, at most 2^18). False when the map is full.</summary>
    public bool Add(ulong id, uint slots)
    {
        int index = 0;
        while (index < _count && _slabs[index].Slots != 0)
        {
            index++;
        }

        if (index == SlabsMax)
        {
            return false;
        }

        Place(index, id, slots);
        return true;
    }

    /// <summary>Adds a slab at the index that its slots' numbers have, as another map had it.</summary>
    public void Place(int index, ulong id, uint slots)
    {
        _count = Math.Max(_count, index + 1);
        _slabs[index] = new Slab { Id = id, Slots = slots, Free = slots, Used = (ulong*)NativeMemoryMap.Populate(slots / 8) };
        TotalSlots += slots;
        FreeSlots += slots;
        Write(index);
    }

    /// <summary>A slot of which another map said that it is used. False when there is none of that number.</summary>
    public bool TryClaim(long slot)
    {
        int index = (int)(slot >> SlotBits);
        uint at = (uint)(slot & SlotInSlabMask);
        if (slot < 0 || index >= _count || at >= _slabs[index].Slots)
        {
            return false;
        }

        if (IsUsed(in _slabs[index], at))
        {
            Share(slot);
        }
        else
        {
            _ = Take(ref _slabs[index], index, at);
        }

        return true;
    }

    /// <summary>What the slab held is lost: its slots stay their owners' until they are released, and are given out no more.</summary>
    public void Close(ulong id)
    {
        for (int i = 0; i < _count; i++)
        {
            ref Slab slab = ref _slabs[i];
            if (slab.Slots != 0 && slab.Id == id && !slab.IsClosed)
            {
                slab.IsClosed = true;
                TotalSlots -= slab.Slots;
                FreeSlots -= slab.Free;
            }
        }
    }

    /// <summary>How many slots of a slab are used.</summary>
    public long UsedOf(ulong id)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_slabs[i].Slots != 0 && _slabs[i].Id == id)
            {
                return _slabs[i].Slots - _slabs[i].Free;
            }
        }

        return 0;
    }

    /// <summary>True when what was written to the slot is lost.</summary>
    public bool IsClosed(long slot) => _slabs[slot >> SlotBits].IsClosed;

    /// <summary>The first run of used slots of a slab from <paramref name="from"/> on, at most <paramref name="most"/> long. Its length; 0 when there is none.</summary>
    public int FindUsed(ulong id, uint from, int most, out uint first)
    {
        first = 0;
        for (int i = 0; i < _count; i++)
        {
            ref readonly Slab slab = ref _slabs[i];
            if (slab.Slots != 0 && slab.Id == id)
            {
                while (from < slab.Slots && !IsUsed(in slab, from))
                {
                    // By words where a whole one is free.
                    from = (from & 63) == 0 && slab.Used[from >> 6] == 0 ? from + 64 : from + 1;
                }

                first = from;
                int run = 0;
                while (run < most && from + run < slab.Slots && IsUsed(in slab, from + (uint)run))
                {
                    run++;
                }

                return run;
            }
        }

        return 0;
    }

    /// <summary>
    /// Takes out a slab of which no slot is used, as long as <paramref name="needed"/> slots remain. Its index stays taken, so
    /// that slot numbers keep their meaning, until a slab is added. False when there is none.
    /// </summary>
    public bool TryRemoveIdle(long needed, out ulong id, out uint slots)
    {
        (id, slots) = (0, 0);
        for (int i = 0; i < _count; i++)
        {
            ref Slab slab = ref _slabs[i];
            if (slab.Slots != 0 && slab.Free == slab.Slots && (slab.IsClosed || TotalSlots - slab.Slots >= needed))
            {
                (id, slots) = (slab.Id, slab.Slots);
                TotalSlots -= slab.IsClosed ? 0 : slots;
                FreeSlots -= slab.IsClosed ? 0 : slots;
                Unmap(in slab);
                slab = default;
                Write(i);
                return true;
            }
        }

        return false;
    }

    /// <summary>The slab's id and the slot in it, as a request names them.</summary>
    public ulong Locate(long slot, out uint slotInSlab)
    {
        slotInSlab = (uint)(slot & SlotInSlabMask);
        return _slabs[slot >> SlotBits].Id;
    }

    /// <summary>
    /// Takes a free slot: <paramref name="hint"/> if it is one, else the next free one. -1 when every slot is used, which
    /// a session that reserved a slot per page never sees.
    /// </summary>
    public long Allocate(long hint)
    {
        if (hint >= 0 && hint >> SlotBits < _count)
        {
            ref Slab near = ref _slabs[hint >> SlotBits];
            uint at = (uint)(hint & SlotInSlabMask);
            if (at < near.Slots && !near.IsClosed && !IsUsed(in near, at))
            {
                return Take(ref near, (int)(hint >> SlotBits), at);
            }
        }

        for (int tried = 0; tried < _count; tried++)
        {
            ref Slab slab = ref _slabs[_current];
            if (slab.Free > 0 && !slab.IsClosed)
            {
                return Take(ref slab, _current, NextFree(ref slab));
            }

            _current = (_current + 1) % _count;
        }

        return -1;
    }

    /// <summary>
    /// One more page has its contents in a used slot. Allocates, once a slab. Throws <see cref="InsufficientMemoryException"/>; nothing has changed then.
    /// </summary>
    public void Share(long slot)
    {
        ref Slab slab = ref _slabs[slot >> SlotBits];
        if (slab.Shares == null)
        {
            slab.Shares = (ushort*)NativeMemoryMap.Reserve(slab.Slots * sizeof(ushort));
        }

        ref ushort shares = ref slab.Shares[slot & SlotInSlabMask];
        shares = checked((ushort)(shares + 1));
    }

    /// <summary>True when the slot must not be written: others have their contents there too.</summary>
    public bool IsShared(long slot)
    {
        ref readonly Slab slab = ref _slabs[slot >> SlotBits];
        return slab.Shares != null && slab.Shares[slot & SlotInSlabMask] != 0;
    }

    /// <summary>An owner has no more use for a slot; free for anybody once all have none.</summary>
    public void Release(long slot)
    {
        ref Slab slab = ref _slabs[slot >> SlotBits];
        uint at = (uint)(slot & SlotInSlabMask);
        if (slab.Shares != null && slab.Shares[at] != 0)
        {
            slab.Shares[at]--;
            return;
        }

        ulong bit = 1UL << (int)(at & 63);
        if ((slab.Used[at >> 6] & bit) == 0)
        {
            Environment.FailFast($"slot {slot} released twice");
        }

        slab.Used[at >> 6] &= ~bit;
        slab.Free++;
        FreeSlots += slab.IsClosed ? 0 : 1;
    }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            if (_slabs[i].Slots != 0)
            {
                Unmap(in _slabs[i]);
            }
        }

        _count = 0;
    }

    private static bool IsUsed(in Slab slab, uint at) => (slab.Used[at >> 6] & (1UL << (int)(at & 63))) != 0;

    private void Write(int index)
    {
        foreach (nint place in _directories)
        {
            // No slots first, and last: an id means something only beside them.
            ulong* directory = (ulong*)place;
            Volatile.Write(ref directory[(2 * index) + 1], 0);
            Volatile.Write(ref directory[2 * index], _slabs[index].Id);
            Volatile.Write(ref directory[(2 * index) + 1], _slabs[index].Slots);
        }
    }

    private static void Unmap(in Slab slab)
    {
        _ = Libc.Unmap(slab.Used, slab.Slots / 8);
        if (slab.Shares != null)
        {
            _ = Libc.Unmap(slab.Shares, slab.Slots * sizeof(ushort));
        }
    }

    private long Take(ref Slab slab, int index, uint at)
    {
        slab.Used[at >> 6] |= 1UL << (int)(at & 63);
        slab.Free--;
        slab.Cursor = at + 1;
        FreeSlots -= slab.IsClosed ? 0 : 1;
        return ((long)index << SlotBits) | at;
    }

    private static uint NextFree(ref Slab slab)
    {
        uint words = slab.Slots >> 6;
        uint cursor = slab.Cursor >= slab.Slots ? 0 : slab.Cursor;
        uint word = cursor >> 6;
        ulong free = ~slab.Used[word] & (ulong.MaxValue << (int)(cursor & 63));
        while (free == 0)
        {
            word = word + 1 == words ? 0 : word + 1;
            free = ~slab.Used[word];
        }

        return (word << 6) + (uint)BitOperations.TrailingZeroCount(free);
    }
}
