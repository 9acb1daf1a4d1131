using Hecatonchire.Interop;
using Hecatonchire.Transport.Sealing;

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
/// <param name="seals">What pages are sealed with; null: they are not.</param>
internal sealed unsafe class StripeTable(SealFile? seals) : IDisposable
{
    /// <summary>Replicas of a stripe at once, one that is being filled included.</summary>
    public const int ReplicasMax = 4;

    private readonly List<Stripe?> _stripes = [];

    public sealed class Stripe(uint slots, SealPlace seal)
    {
        public uint Slots => slots;

        /// <summary>What was last written to each slot can be opened with, where pages are sealed; else <see cref="Sums"/> tell.</summary>
        public SealPlace Seal => seal;

        /// <summary>Of what was last written to each slot, <see cref="PageSum"/>; 0: not by this process. Takes memory as slots are used. Null where pages are sealed.</summary>
        public uint* Sums { get; } = seal.Records == null ? (uint*)NativeMemoryMap.Reserve(slots * sizeof(uint)) : null;

        public Replica[] Replicas { get; } = new Replica[ReplicasMax];

        /// <summary>True when no replica has all of it any more.</summary>
        public bool IsLost { get; set; }

        /// <summary>True when it is known what was last written to a slot.</summary>
        public bool Knows(uint slot) => Sums != null ? Sums[slot] != 0 : seal.Records[slot].Version != 0;

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

    /// <summary>The number of the stripe that is added next; only <see cref="Add"/> and <see cref="Remove"/> change it.</summary>
    public ulong Next => _stripes.IndexOf(null) is >= 0 and var free ? (ulong)free : (ulong)_stripes.Count;

    /// <summary>
    /// Has what the next stripe takes. 0, or the errno; nothing has changed then. By any thread, while no stripe is added or removed: it may take as long as the kernel does.
    /// </summary>
    public int TryPrepare(uint slots) => seals?.TryPrepare(Next, slots) ?? 0;

    /// <summary>Adds a stripe whose replicas, at most <see cref="ReplicasMax"/> - 1, hold nothing yet, and returns its number. Prepared before.</summary>
    public ulong Add(uint slots, ReadOnlySpan<(int Sponsor, ulong Slab)> replicas)
    {
        ulong number = Next;
        Put(number, new Stripe(slots, seals?.Begin(number) ?? default), replicas);
        return number;
    }

    /// <summary>A stripe that another pager has left, under the number that it had there. Throws <see cref="InvalidDataException"/>.</summary>
    public void Adopt(ulong number, uint slots, ReadOnlySpan<(int Sponsor, ulong Slab)> replicas)
    {
        if (this[number] is not null)
        {
            throw new InvalidDataException("the page tables are damaged");
        }

        Put(number, new Stripe(slots, seals?.Adopt(number) ?? default), replicas);
    }

    /// <summary>No request on it is in flight or will be made.</summary>
    public void Remove(ulong number)
    {
        if (_stripes[(int)number] is { } stripe)
        {
            Release(number, stripe);
            seals?.Forget(number);
        }
    }

    public void Dispose()
    {
        for (int number = 0; number < _stripes.Count; number++)
        {
            if (_stripes[number] is { } stripe)
            {
                Release((ulong)number, stripe);
            }
        }
    }

    private void Put(ulong number, Stripe stripe, ReadOnlySpan<(int Sponsor, ulong Slab)> replicas)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(replicas.Length, ReplicasMax);
        for (int i = 0; i < replicas.Length; i++)
        {
            stripe.Replicas[i] = new Replica { Sponsor = replicas[i].Sponsor, Slab = replicas[i].Slab, State = ReplicaState.Live };
        }

        while ((ulong)_stripes.Count <= number)
        {
            _stripes.Add(null);
        }

        _stripes[(int)number] = stripe;
    }

    private void Release(ulong number, Stripe stripe)
    {
        _stripes[(int)number] = null;
        if (stripe.Sums != null)
        {
            _ = Libc.Unmap(stripe.Sums, stripe.Slots * sizeof(uint));
        }
    }
}
