using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Lending;

/// <summary>Where slabs for a program's stripes are borrowed, with the two data connections to it.</summary>
internal abstract class LenderLink : IDisposable
{
    private long _freeBytes;

    /// <summary>As people name it.</summary>
    public abstract string Name { get; }

    /// <summary>New each time it begins to lend: slabs are its own, and of no other.</summary>
    public abstract Guid Instance { get; }

    public abstract long SlabBytesMin { get; }

    public abstract long SlabBytesMax { get; }

    public abstract ISponsorConnection Reader { get; }

    public abstract ISponsorConnection Writer { get; }

    /// <summary>True while it does not answer, and is not lost.</summary>
    public virtual bool IsRebuilding => false;

    /// <summary>How often its data connections were rebuilt.</summary>
    public virtual long Rebuilds => 0;

    /// <summary>True when a request to it would probably be answered.</summary>
    public abstract bool IsHere { get; }

    /// <summary>Where it is, in the terms of a label: replicas are kept in different places.</summary>
    public abstract string PlaceIn(string label);

    /// <summary>Its number in the <see cref="SponsorSet"/>.</summary>
    public int Number { get; set; } = -1;

    /// <summary>True once nothing it holds can be had any more.</summary>
    public bool IsLost => LossReason is not null;

    /// <summary>Why, in a few words.</summary>
    public string? LossReason { get; set; }

    public bool IsLossTold { get; set; }

    /// <summary>Pages that it had the only copy of when it was lost.</summary>
    public long PagesLost { get; set; }

    /// <summary>How often what had not been written had come under its number when that was last told.</summary>
    public long CorruptedTold { get; set; }

    /// <summary>It was asked to lend something, or to take something back, and did not answer: what it has lent may be more than anybody here knows. It is asked to take nothing back until that was looked at.</summary>
    public bool DoesNotAnswer { get; set; }

    /// <summary>Asked for more than it had; until this time of <see cref="Environment.TickCount64"/> it is asked only if no other can give.</summary>
    public long FullUntil { get; set; }

    /// <summary>Asked, it did not lend for another reason: until this time it is passed over.</summary>
    public long SilentUntil { get; set; }

    /// <summary>What it has to lend, as last heard.</summary>
    public long FreeBytes
    {
        get => Interlocked.Read(ref _freeBytes);
        set => Interlocked.Exchange(ref _freeBytes, value);
    }

    /// <summary>What it wants back of what it has lent us, as last heard.</summary>
    public long ReclaimBytes { get; protected set; }

    /// <summary>It came after the start, or offers more than it did: stripes of others may move to it until it has its share.</summary>
    public bool HasRoomAnew { get; set; }

    /// <summary>Pages a second that it serves, all its demanders together, as last heard.</summary>
    public double Load { get; protected set; }

    /// <summary>From now on its pager thread runs.</summary>
    public virtual void Start()
    {
    }

    /// <summary>Borrows a slab that requests may be made on. Throws <see cref="SponsorException"/>.</summary>
    public abstract SlabEntry Allocate(long bytes, TimeSpan timeout);

    /// <summary>Gives a slab back; no request on it is in flight or will be made. One that does not answer keeps it for now: <see cref="DoesNotAnswer"/>.</summary>
    public abstract void Free(ulong slab, TimeSpan timeout);

    /// <summary>What it has lent. Throws <see cref="SponsorException"/>.</summary>
    public abstract IReadOnlyList<SlabEntry> ListSlabs(TimeSpan? timeout = null);

    /// <summary>A slab that was borrowed before, by another process. Throws <see cref="SponsorException"/>.</summary>
    public abstract void Adopt(ulong slab, long bytes);

    /// <summary>Asks what it has to lend and how busy it is. Throws <see cref="SponsorException"/>.</summary>
    public virtual void AskFigures(TimeSpan timeout)
    {
    }

    /// <summary>Ends the data connections: nothing uses buffers of what was in flight. Waits for nobody.</summary>
    public abstract void Disconnect();

    /// <summary>The end, after <see cref="Disconnect"/>.</summary>
    public abstract void Dispose();
}
