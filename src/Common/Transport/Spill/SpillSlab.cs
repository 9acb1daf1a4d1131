using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Sealing;

namespace Hecatonchire.Transport.Spill;

/// <summary>What it takes to open what is in a slot, as it was at one moment.</summary>
internal unsafe struct SlotSeal
{
    /// <summary>The version, 0 where nothing was written yet, and the two bits of <see cref="SpillSlab"/>.</summary>
    public ulong State;

    public fixed byte Tag[PageSeal.TagBytes];

    public readonly ulong Version => State & SpillSlab.VersionMask;
}

/// <summary>
/// A run of slots in a spill file. What is needed to open each is here and nowhere else, in 24 bytes a slot of memory that is there from the beginning. Any number of threads read and
/// write slots; who reads one that is being written finds out afterwards (a sequence lock).
/// </summary>
internal sealed unsafe class SpillSlab
{
    public const ulong VersionMask = (1UL << PageSeal.VersionBits) - 1;

    private const ulong Writing = 1UL << 63;
    private const ulong Lost = 1UL << 62;
    private const int Closed = 1 << 30;

    private readonly SlotSeal* _seals;
    private readonly Action<SpillSlab> _release;
    private int _users;

    /// <param name="serial">Of all slabs under this key the only one with this number.</param>
    /// <param name="offset">Where it is in the file.</param>
    /// <param name="slots">How long it is.</param>
    /// <param name="release">Called once it is closed and nobody uses it, on the last one's thread.</param>
    public SpillSlab(uint serial, long offset, uint slots, Action<SpillSlab> release)
    {
        (Serial, Offset, Slots, _release) = (serial, offset, slots, release);
        _seals = (SlotSeal*)NativeMemoryMap.Populate(slots * (nuint)sizeof(SlotSeal));
    }

    public uint Serial { get; }

    public long Offset { get; }

    public uint Slots { get; }

    /// <summary>The one released before it, as long as it is in a list of such.</summary>
    public SpillSlab? Next { get; set; }

    /// <summary>Keeps it from being released until <see cref="Exit"/>; false once it is closed.</summary>
    public bool TryEnter()
    {
        for (int users = Volatile.Read(ref _users); (users & Closed) == 0;)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
            {
                return true;
            }

            users = seen;
        }

        return false;
    }

    public void Exit()
    {
        if (Interlocked.Decrement(ref _users) == Closed)
        {
            Release();
        }
    }

    /// <summary>Lets nobody in any more.</summary>
    public void Close()
    {
        if (Interlocked.Or(ref _users, Closed) == 0)
        {
            Release();
        }
    }

    /// <summary>Begins to write a slot: the version to seal it as, which was never used; 0 while another is writing it.</summary>
    public ulong TryBeginWrite(uint slot)
    {
        ulong state = Volatile.Read(ref _seals[slot].State);
        return (state & Writing) == 0 && Interlocked.CompareExchange(ref _seals[slot].State, state | Writing, state) == state
            ? (state & VersionMask) + 1
            : 0;
    }

    /// <summary>What was begun has not been: nothing was sealed or written.</summary>
    public void CancelWrite(uint slot) => Volatile.Write(ref _seals[slot].State, _seals[slot].State & ~Writing);

    /// <summary>What was begun has ended, well or not: if not, what is there now opens as this version or not at all.</summary>
    public void EndWrite(uint slot, in SlotSeal written)
    {
        ref SlotSeal seal = ref _seals[slot];
        Debug.Assert(seal.State >> 63 == 1, "begun");
        for (int i = 0; i < PageSeal.TagBytes; i++)
        {
            seal.Tag[i] = written.Tag[i];
        }

        Volatile.Write(ref seal.State, written.Version);
    }

    /// <summary>A slot's seal now; false while it is being written, when the copy is the same as nothing later.</summary>
    public bool TryCopy(uint slot, out SlotSeal seal)
    {
        ulong before = Volatile.Read(ref _seals[slot].State);
        seal = _seals[slot];
        seal.State = before;
        Volatile.ReadBarrier();
        if ((before & Writing) == 0 && Volatile.Read(ref _seals[slot].State) == before)
        {
            return true;
        }

        seal.State = ulong.MaxValue;
        return false;
    }

    /// <summary>True when nobody has begun to write the slot since the copy was taken.</summary>
    public bool IsSame(uint slot, in SlotSeal copy)
    {
        Volatile.ReadBarrier();
        return ((Volatile.Read(ref _seals[slot].State) ^ copy.State) & ~Lost) == 0;
    }

    public static bool IsLost(in SlotSeal seal) => (seal.State & Lost) != 0;

    /// <summary>What is in the slot does not open. True for the first who says so of this version.</summary>
    public bool TryLose(uint slot, in SlotSeal copy) =>
        Interlocked.CompareExchange(ref _seals[slot].State, copy.State | Lost, copy.State) == copy.State;

    private void Release()
    {
        _ = Libc.Unmap(_seals, Slots * (nuint)sizeof(SlotSeal));
        _release(this);
    }
}
