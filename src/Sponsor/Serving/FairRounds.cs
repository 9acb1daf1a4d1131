namespace Hecatonchire.Sponsor.Serving;

/// <summary>
/// How the serving thread is shared where several want more than it can do: deficit round robin between whoever has connections open. In each round of its loop each gets a part of
/// <see cref="RoundBytes"/> by his weight; so who comes with a small request waits for no more than a round, however much others want and over however many connections. What is not
/// used is not saved up, what was moved beyond it counts in the next rounds, and who is alone is not counted. Used by the serving thread only.
/// </summary>
/// <param name="isOn">False: nobody is bounded.</param>
internal sealed class FairRounds(bool isOn = true)
{
    /// <summary>What is moved in a round for all together: some 20 us of copying. Four times as much made a request for one page wait five times as long, and whoever wants all no faster.</summary>
    public const long RoundBytes = 64 << 10;

    public const long Unbounded = long.MaxValue;

    private int _weightOpen;

    /// <summary>Who has data connections open: names, or demanders where there are none.</summary>
    public int Open { get; private set; }

    public long Round { get; private set; }

    /// <summary>What was moved for any of several since <see cref="TakeMoved"/>: others may have come meanwhile.</summary>
    public long Moved { get; private set; }

    /// <summary>A connection of a share was opened (+1) or closed (-1).</summary>
    public void NoteConnection(ServingShare share, int change)
    {
        if (share.Connections == 0)
        {
            share.WeightCounted = share.Weight;
        }

        share.Connections += change;
        if (share.Connections == (change > 0 ? 1 : 0))
        {
            Open += change;
            _weightOpen += change * share.WeightCounted;
        }
    }

    public void Next() => Round++;

    public void TakeMoved() => Moved = 0;

    /// <summary>How many bytes may be moved for a connection now; 0 and below: none in this round. Null: one whose HELLO has not come.</summary>
    public long CreditOf(ServingShare? share)
    {
        if (!isOn || Open <= 1)
        {
            return Unbounded;
        }

        if (share is null)
        {
            return RoundBytes;
        }

        if (share.Round != Round)
        {
            long part = Math.Max(1, RoundBytes * share.Weight / Math.Max(1, _weightOpen)), rounds = Round - share.Round;
            share.Credit = rounds > RoundBytes ? part : Math.Min(part, share.Credit + (part * rounds));
            share.Round = Round;
        }

        return share.Credit;
    }

    /// <summary>So much was moved of the credit.</summary>
    public void Charge(ServingShare? share, long credit, long bytes)
    {
        if (credit != Unbounded)
        {
            Moved += bytes;
            if (share is not null)
            {
                share.Credit -= bytes;
            }
        }
    }
}
