namespace Hecatonchire.Transport.Rdma;

/// <summary>
/// Where a sponsor's slabs are in its memory, and the keys that open them to this demander. One thread adds and removes; another may
/// look for slabs that are neither being added nor removed at that moment. Holds as many as a demander may have.
/// </summary>
internal sealed class RemoteSlabs
{
    /// <summary>Twice what a demander may have, so that a look-up ends after a step or two; a power of two.</summary>
    private const int Entries = 4096;

    private const ulong Removed = ulong.MaxValue;

    private readonly Entry[] _entries = new Entry[Entries];

    private struct Entry
    {
        /// <summary>0: never used. Sponsors number slabs from 1.</summary>
        public ulong Slab;
        public ulong Address;
        public uint Slots;
        public uint Key;
    }

    /// <summary>Adds a slab, or gives a known one a new place. False when there is no room.</summary>
    public bool Set(ulong slab, ulong address, uint slots, uint key)
    {
        int index = IndexOf(slab);
        if (index < 0)
        {
            index = FreeIndexFor(slab);
            if (index < 0)
            {
                return false;
            }
        }

        ref Entry entry = ref _entries[index];
        (entry.Address, entry.Slots, entry.Key) = (address, slots, key);
        Volatile.Write(ref entry.Slab, slab);
        return true;
    }

    public void Remove(ulong slab)
    {
        int index = IndexOf(slab);
        if (index >= 0)
        {
            Volatile.Write(ref _entries[index].Slab, Removed);
        }
    }

    /// <summary>False for slots that are not in a slab known here.</summary>
    public bool TryLocate(ulong slab, uint slot, int pages, out ulong address, out uint key)
    {
        int index = IndexOf(slab);
        if (index < 0 || slot + (ulong)(uint)pages > _entries[index].Slots)
        {
            (address, key) = (0, 0);
            return false;
        }

        address = _entries[index].Address + ((ulong)slot << Units.PageSize.Shift);
        key = _entries[index].Key;
        return true;
    }

    private int IndexOf(ulong slab)
    {
        for (int i = 0; i < Entries; i++)
        {
            int index = (int)((slab + (ulong)i) % Entries);
            ulong found = Volatile.Read(ref _entries[index].Slab);
            if (found == slab)
            {
                return index;
            }

            if (found == 0)
            {
                return -1;
            }
        }

        return -1;
    }

    private int FreeIndexFor(ulong slab)
    {
        for (int i = 0; i < Entries; i++)
        {
            int index = (int)((slab + (ulong)i) % Entries);
            if (_entries[index].Slab is 0 or Removed)
            {
                return index;
            }
        }

        return -1;
    }
}
