using System.Runtime.InteropServices;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.InMemory;

/// <summary>Slabs in native memory of this process: what <see cref="InMemoryDataConnection"/> reads and writes.</summary>
internal sealed unsafe class InMemorySponsor : IDisposable
{
    private readonly Dictionary<ulong, (nint Memory, uint Slots)> _slabs = [];
    private readonly HashSet<ulong> _lost = [];
    private ulong _next = 1;

    /// <summary>Makes a zeroed slab of <paramref name="slots"/> pages and returns its number.</summary>
    public ulong AddSlab(uint slots)
    {
        nuint bytes = (nuint)slots << PageSize.Shift;
        void* memory = NativeMemory.AlignedAlloc(bytes, PageSize.Bytes);
        NativeMemory.Clear(memory, bytes);
        _slabs.Add(_next, ((nint)memory, slots));
        return _next++;
    }

    /// <summary>Frees a slab; requests for it are refused from now on.</summary>
    public void RemoveSlab(ulong slab)
    {
        if (_slabs.Remove(slab, out (nint Memory, uint Slots) removed))
        {
            NativeMemory.AlignedFree((void*)removed.Memory);
        }
    }

    /// <summary>Of several sponsors that this stands for, the one that had the slab is gone: requests for it fail, and no others.</summary>
    public void LoseSlab(ulong slab)
    {
        _ = _lost.Add(slab);
        RemoveSlab(slab);
    }

    public bool IsLost(ulong slab) => _lost.Contains(slab);

    /// <summary>The memory of a run of slots, or null where the slab is unknown or the run is not inside it.</summary>
    public byte* Find(ulong slab, uint slot, int pages) =>
        _slabs.TryGetValue(slab, out (nint Memory, uint Slots) found) && (ulong)slot + (uint)pages <= found.Slots
            ? (byte*)found.Memory + ((nuint)slot << PageSize.Shift)
            : null;

    public void Dispose()
    {
        foreach ((nint memory, _) in _slabs.Values)
        {
            NativeMemory.AlignedFree((void*)memory);
        }

        _slabs.Clear();
    }
}
