using System.Numerics;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Sealing;

/// <summary>
/// Seals what is written to stripes, into memory of its own that the connection sends from, and opens what is read where it lies. All memory is had at construction. Used by one
/// thread.
/// </summary>
internal sealed unsafe class PageSealer : IDisposable
{
    /// <summary>The longest run that is sealed at once: of a word's bits one a page.</summary>
    public const int RunPagesMax = 64;

    /// <summary>8 MiB: more than is on its way to sponsors at once; who finds none free waits for what is.</summary>
    private const int Words = 32;

    private readonly PageSeal _seal;
    private readonly ulong[] _used = new ulong[Words];
    private readonly byte* _memory = NativeMemoryMap.Populate(Bytes + PageSize.Bytes);
    private readonly byte* _tags = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(RunPagesMax * PageSeal.TagBytes);
    private int _word;

    public PageSealer(SealFile file) => _seal = file.NewSeal();

    public static nuint Bytes => (nuint)(Words * RunPagesMax) << PageSize.Shift;

    /// <summary>Where sealed pages are, to be made known to devices.</summary>
    public byte* Memory => _memory;

    private byte* Scratch => _memory + Bytes;

    /// <summary>Seals a run of pages for slots of a stripe; null where there is no room now. It is the caller's until <see cref="Return"/>.</summary>
    public byte* Seal(in SealPlace place, uint slot, int pages, byte* run)
    {
        byte* sealedRun = Take(pages);
        if (sealedRun == null)
        {
            return null;
        }

        // Before any of them is used: a version that was used is not used again, whoever goes on from here.
        ulong version = place.Head->Version + 1;
        Volatile.Write(ref place.Head->Version, place.Head->Version + (ulong)pages);
        for (int i = 0; i < pages; i++)
        {
            nint at = (nint)i << PageSize.Shift;
            _seal.Seal((uint)place.Head->Generation, slot + (uint)i, version + (ulong)i, run + at, sealedRun + at, _tags + (i * PageSeal.TagBytes));
        }

        return sealedRun;
    }

    /// <summary>The run that was sealed last is on its way: from now on that is what is in the slots.</summary>
    public void Note(in SealPlace place, uint slot, int pages)
    {
        for (int i = 0; i < pages; i++)
        {
            SealRecord* record = place.Records + slot + i;
            record->Version = place.Head->Version - (ulong)(pages - 1 - i);
            Buffer.MemoryCopy(_tags + (i * PageSeal.TagBytes), record->Tag, PageSeal.TagBytes, PageSeal.TagBytes);
        }
    }

    /// <summary>Opens a page where it is. False when it is not what was last written to the slot; it is zeros then.</summary>
    public bool TryOpen(in SealPlace place, uint slot, byte* page) => TryOpen(in place, slot, page, page);

    /// <summary>True when a page is what was last written to the slot; it stays sealed.</summary>
    public bool IsRight(in SealPlace place, uint slot, byte* page) => TryOpen(in place, slot, page, Scratch);

    public void Return(byte* run, int pages)
    {
        int first = (int)((run - _memory) >> PageSize.Shift);
        _used[first / RunPagesMax] &= ~(ulong.MaxValue >> (RunPagesMax - pages) << (first % RunPagesMax));
    }

    public void Dispose()
    {
        _seal.Dispose();
        System.Runtime.InteropServices.NativeMemory.Free(_tags);
        _ = Libc.Unmap(_memory, Bytes + PageSize.Bytes);
    }

    private bool TryOpen(in SealPlace place, uint slot, byte* page, byte* to)
    {
        SealRecord* record = place.Records + slot;
        return record->Version != 0 && _seal.TryOpen((uint)place.Head->Generation, slot, record->Version, page, record->Tag, to);
    }

    /// <summary>Pages side by side, in one word's.</summary>
    private byte* Take(int pages)
    {
        for (int looked = 0; looked < Words; looked++)
        {
            // Of each bit, whether so many from it on are free: a run of n is one of n/2 beside another.
            ulong free = ~_used[_word];
            for (int have = 1; have < pages && free != 0;)
            {
                int more = Math.Min(have, pages - have);
                free &= free >> more;
                have += more;
            }

            if (free != 0)
            {
                int first = BitOperations.TrailingZeroCount(free);
                _used[_word] |= ulong.MaxValue >> (RunPagesMax - pages) << first;
                return _memory + ((nint)((_word * RunPagesMax) + first) << PageSize.Shift);
            }

            _word = (_word + 1) % Words;
        }

        return null;
    }
}
