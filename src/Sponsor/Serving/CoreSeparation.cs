using System.Numerics;
using Hecatonchire.Interop;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>
/// Keeps the serving thread off the core of a demander on the same host. The scheduler sees two threads that wake each other
/// and likes to run them on one core, where both look for work in turns: a fault then takes half as long again. Over loopback a
/// packet is received on the core that sent it, so the socket itself tells where the demander is.
/// </summary>
internal sealed unsafe class CoreSeparation
{
    /// <summary>Turns with work between two looks.</summary>
    private const int TurnsPerLook = 64;

    private const int MaskWords = 16;

    private readonly ulong[] _all = GC.AllocateArray<ulong>(MaskWords, pinned: true);
    private readonly ulong[] _rest = GC.AllocateArray<ulong>(MaskWords, pinned: true);
    private readonly int _cores;
    private int _turns;
    private int _avoided = -1;

    /// <summary>To be made on the thread that is to be placed.</summary>
    public CoreSeparation()
    {
        fixed (ulong* mask = _all)
        {
            _ = Libc.GetAffinity(0, MaskWords * sizeof(ulong), mask);
        }

        foreach (ulong word in _all)
        {
            _cores += BitOperations.PopCount(word);
        }
    }

    /// <summary>A turn with work for a peer on this host.</summary>
    public void Note(int descriptor)
    {
        if (_cores < 2 || ++_turns < TurnsPerLook)
        {
            return;
        }

        _turns = 0;
        int core = -1;
        uint length = sizeof(int);
        if (Libc.GetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_INCOMING_CPU, &core, &length) == 0 && core != _avoided)
        {
            Avoid(core);
        }
    }

    private void Avoid(int core)
    {
        if (core is < 0 or >= MaskWords * 64)
        {
            return;
        }

        _avoided = core;
        _all.CopyTo(_rest, 0);
        _rest[core / 64] &= ~(1UL << (core % 64));
        fixed (ulong* mask = _rest)
        {
            _ = Libc.SetAffinity(0, MaskWords * sizeof(ulong), mask);
        }
    }

    /// <summary>True when both ends of a connection have the same address.</summary>
    public static bool IsSameHost(int descriptor)
    {
        const int Room = 128;
        byte* here = stackalloc byte[Room];
        byte* there = stackalloc byte[Room];
        uint hereLength = Room, thereLength = Room;
        if (Libc.GetSocketName(descriptor, here, &hereLength) != 0 || Libc.GetPeerName(descriptor, there, &thereLength) != 0
            || hereLength != thereLength)
        {
            return false;
        }

        // sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address. The ports differ.
        (int start, int bytes) = hereLength <= 16 ? (4, 4) : (8, 16);
        return new ReadOnlySpan<byte>(here, 2).SequenceEqual(new ReadOnlySpan<byte>(there, 2))
            && new ReadOnlySpan<byte>(here + start, bytes).SequenceEqual(new ReadOnlySpan<byte>(there + start, bytes));
    }
}
