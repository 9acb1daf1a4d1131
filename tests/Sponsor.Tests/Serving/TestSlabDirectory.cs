using System.Collections.Concurrent;
using System.Security.Cryptography;
using Hecatonchire.Interop;
using Hecatonchire.Sponsor.Serving;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>A small real directory: slabs in anonymous memory, tokens that work once and for one demander.</summary>
internal sealed unsafe class TestSlabDirectory : ISlabDirectory, IDisposable
{
    private readonly ConcurrentDictionary<string, (Guid Demander, int Index)> _tokens = new();
    private readonly Dictionary<(int Owner, ulong Slab), (nint Memory, uint Slots)> _slabs = [];
    private readonly ConcurrentDictionary<int, ServingShare> _shares = new();
    private int _connections;
    private int _demanders;
    private ulong _nextSlab = 1;

    public int Connections => Volatile.Read(ref _connections);

    public static Guid DemanderOf(int index) => new(index, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

    /// <summary>Call before the server starts or through RunBetweenRequests, as the control plane does.</summary>
    public ulong AddSlab(int owner, uint slots)
    {
        void* memory = Libc.Map(
            null, (nuint)slots * 4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        Assert.NotEqual(-1, (nint)memory);
        _slabs.Add((owner, _nextSlab), ((nint)memory, slots));
        return _nextSlab++;
    }

    /// <summary>As <see cref="AddSlab"/>. The memory is unmapped at once: a later touch ends the process.</summary>
    public void RemoveSlab(int owner, ulong slab)
    {
        Assert.True(_slabs.Remove((owner, slab), out (nint Memory, uint Slots) removed));
        Assert.Equal(0, Libc.Unmap((void*)removed.Memory, (nuint)removed.Slots * 4096));
    }

    public int NewDemander() => Interlocked.Increment(ref _demanders);

    public byte[] NewToken(int demander)
    {
        byte[] token = RandomNumberGenerator.GetBytes(32);
        _tokens[Convert.ToHexString(token)] = (DemanderOf(demander), demander);
        return token;
    }

    public bool TryRedeem(ReadOnlySpan<byte> token, ReadOnlySpan<byte> demander, out DemanderHandle handle)
    {
        bool known = _tokens.TryRemove(Convert.ToHexString(token), out (Guid Demander, int Index) found);
        handle = new DemanderHandle(found.Index);
        return known && found.Demander == new Guid(demander, bigEndian: true);
    }

    public bool TryFind(DemanderHandle demander, ulong slab, out SlabView view)
    {
        bool found = _slabs.TryGetValue((demander.Index, slab), out (nint Memory, uint Slots) memory);
        view = new SlabView((byte*)memory.Memory, memory.Slots);
        return found;
    }

    public ServingShare ShareOf(DemanderHandle demander) => _shares.GetOrAdd(demander.Index, _ => new ServingShare());

    public void CountConnection(DemanderHandle demander, int change) => Interlocked.Add(ref _connections, change);

    public void Dispose()
    {
        foreach ((nint memory, uint slots) in _slabs.Values)
        {
            _ = Libc.Unmap((void*)memory, (nuint)slots * 4096);
        }
    }
}
