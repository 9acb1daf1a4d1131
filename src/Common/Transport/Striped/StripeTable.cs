using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Striped;

/// <summary>What a replica of a stripe is good for.</summary>
internal enum ReplicaState : byte
{
    None,

    /// <summary>Being copied to: it gets every write, and is not read.</summary>
    Filling,

    /// <summary>It has whatever has been written to the stripe.</summary>
    Live,
}

/// <summary>A slab on a sponsor that holds a stripe's contents.</summary>
internal struct Replica
{
    public ulong Slab;
    public int Sponsor;
    public ReplicaState State;
}

/// <summary>
/// Stripes: runs of slots that look like one slab to the pager, each in a slab on one or more sponsors. A replica that has missed a write, or whose sponsor is
/// lost, is taken out for good: it is never read again. Used by the pager thread only.
/// </summary>
internal sealed unsafe class StripeTable : IDisposable
{
    /// <summary>Replicas of a stripe at once, one that is being filled included.</summary>
    public const int ReplicasMax = 4;

    private readonly List<Stripe?> _stripes = [];

    public sealed class Stripe(uint slots)
    {
        public uint Slots => slots;

        /// <summary>Of what was last written to each slot, <see cref="PageSum"/>; 0: not by this process. Takes memory as slots are used.</summary>
        public uint* Sums { get; } = (uint*)NativeMemoryMap.Reserve(slots * sizeof(uint));

        public Replica[] Replicas { get; } = new Replica[ReplicasMax];

        /// <summary>True when no replica has all of it any more.</summary>
        public bool IsLost { get; set; }

        public int Count(ReplicaState state) => Replicas.Count(replica => replica.State == state);

        /// <summary>True when a replica that has everything is on another sponsor than those, by their bits.</summary>
        public bool HasLiveBut(ulong sponsors)
        {
            foreach (ref readonly Replica replica in Replicas.AsSpan())
            {
                if (replica.State == ReplicaState.Live && (sponsors & (1UL << replica.Sponsor)) == 0)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>One more than the highest number in use.</summary>
    public int Count => _stripes.Count;

    public Stripe? this[ulong number] => number < (ulong)_stripes.Count ? _stripes[(int)number] : null;

    /// <summary>Adds a stripe whose replicas, at most <see cref="ReplicasMax"/> - 1, hold nothing yet, and returns its number.</summary>
    public ulong Add(uint slots, ReadOnlySpan<(int Sponsor, ulong Slab)> replicas)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(replicas.Length, ReplicasMax);
        var stripe = new Stripe(slots);
        for (int i = 0; i < replicas.Length; i++)
        {
            stripe.Replicas[i] = new Replica { Sponsor = replicas[i].Sponsor, Slab = replicas[i].Slab, State = ReplicaState.Live };
        }

        int free = _stripes.IndexOf(null);
        if (free < 0)
        {
            _stripes.Add(stripe);
            return (ulong)_stripes.Count - 1;
        }

        _stripes[free] = stripe;
        return (ulong)free;
    }

    /// <summary>No request on it is in flight or will be made.</summary>
    public void Remove(ulong number)
    {
        if (_stripes[(int)number] is { } stripe)
        {
            _stripes[(int)number] = null;
            _ = Libc.Unmap(stripe.Sums, stripe.Slots * sizeof(uint));
        }
    }

    public void Dispose()
    {
        for (int number = 0; number < _stripes.Count; number++)
        {
            Remove((ulong)number);
        }
    }
}
