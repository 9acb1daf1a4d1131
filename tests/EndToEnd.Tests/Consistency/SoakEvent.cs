using System.Globalization;

namespace Hecatonchire.Tests.Consistency;

/// <summary>What can happen to a program's memory from outside.</summary>
internal enum SoakEventKind
{
    /// <summary>kill -9 of a sponsor, which comes back empty after a while; with <see cref="SoakEvent.Other"/> of two at once.</summary>
    Kill,

    /// <summary>The network to a sponsor loses all there is.</summary>
    Cut,

    /// <summary>A sponsor's process is stopped, and goes on.</summary>
    Stop,

    /// <summary>A sponsor is emptied, and offers its memory again; <see cref="SoakEvent.Other"/> is killed meanwhile.</summary>
    Drain,

    /// <summary>A sponsor offers less for a while.</summary>
    Offer,

    /// <summary>What a sponsor is sent and sends takes longer, by <see cref="SoakEvent.Amount"/> milliseconds each way.</summary>
    Slow,

    /// <summary>Of the pages that are read from a sponsor <see cref="SoakEvent.Amount"/> are damaged on their way.</summary>
    FlipReads,

    /// <summary>Of those that are written to it, and lie there so until it has been emptied.</summary>
    FlipWrites,

    /// <summary>kill -9 of the pager; the next comes after a while; with <see cref="SoakEvent.Other"/> a sponsor dies too.</summary>
    KillPager,

    /// <summary>The next pager takes a running one's place.</summary>
    Takeover,
}

/// <param name="At">Not before, from the start; nor before the one ahead of it is over.</param>
/// <param name="Kind">What.</param>
/// <param name="Sponsor">To whom, from 0.</param>
/// <param name="Other">Another one to whom something happens; -1: none.</param>
/// <param name="Length">For how long.</param>
/// <param name="Amount">How much, by the kind.</param>
internal sealed record SoakEvent(TimeSpan At, SoakEventKind Kind, int Sponsor, int Other, TimeSpan Length, double Amount)
{
    public override string ToString()
    {
        string what = Kind switch
        {
            SoakEventKind.Kill => $"sponsor {Sponsor}{(Other < 0 ? "" : $" and {Other}")} killed, back after",
            SoakEventKind.Cut => $"sponsor {Sponsor} cut off for",
            SoakEventKind.Stop => $"sponsor {Sponsor} stopped for",
            SoakEventKind.Drain => $"sponsor {Sponsor} drained{(Other < 0 ? "" : $", {Other} killed meanwhile")}, offers again after",
            SoakEventKind.Offer => $"sponsor {Sponsor} offers 64 MiB for",
            SoakEventKind.Slow => $"sponsor {Sponsor} slower by {Number(Amount)} ms each way for",
            SoakEventKind.FlipReads => $"of pages read from sponsor {Sponsor} {Number(Amount * 100)} % damaged for",
            SoakEventKind.FlipWrites => $"of pages written to sponsor {Sponsor} {Number(Amount * 100)} % damaged for",
            SoakEventKind.KillPager => $"the pager{(Other < 0 ? "" : $" and sponsor {Other}")} killed, back after",
            _ => "a pager takes over, after",
        };
        return $"{Number(At.TotalSeconds)} s: {what} {Number(Length.TotalSeconds)} s";
    }

    private static string Number(double number) => number.ToString("0.0", CultureInfo.InvariantCulture);
}
