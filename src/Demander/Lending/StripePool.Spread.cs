using Hecatonchire.Control;
using Hecatonchire.Pager;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <content>
/// Where replicas are: in different places (hosts, racks) as far as that can be, and moved apart as soon as it can. And sponsors that are found: those that come are borrowed from,
/// those that are found no more and do not answer are forgotten.
/// </content>
internal sealed partial class StripePool
{
    private readonly HashSet<SponsorEndpoint> _refused = [];
    private int _crowded;
    private bool _isCrowdTold;

    /// <summary>Stripes of which two replicas are in the same place.</summary>
    public int Crowded => Volatile.Read(ref _crowded);

    /// <summary>By the sponsors' numbers.</summary>
    private string[] PlacesIn(string label)
    {
        var places = new string[SponsorSet.SponsorsMax];
        foreach (LenderLink link in _links.Now())
        {
            places[link.Number] = link.PlaceIn(label);
        }

        return places;
    }

    /// <summary>True where no replica but the one that leaves is where the sponsor is. On the pager thread.</summary>
    private static bool IsApart(StripeTable.Stripe stripe, int sponsor, int leaving, string[] places)
    {
        foreach (Replica replica in stripe.Replicas)
        {
            if (replica.State != ReplicaState.None && replica.Sponsor != leaving && places[replica.Sponsor] == places[sponsor])
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Has a stripe of which two replicas are in one place moved, if there is a sponsor elsewhere for it. True where one is being moved.</summary>
    private bool Spread()
    {
        if (_borrowing.Replicas < 2)
        {
            return false;
        }

        bool isMoved = false;
        foreach (string label in _borrowing.SpreadLevels)
        {
            int crowded = FindCrowded(PlacesIn(label), out ulong stripe, out uint slots, out int leaving, out int[] have, out int[] targets);
            if (label == _borrowing.Spread)
            {
                NoteCrowded(crowded);
            }

            isMoved = isMoved || (targets.Length > 0
                && TryFill(stripe, slots, link => targets.Contains(link.Number), have, StripeCopier.BytesPerSecondDefault, leaving));
        }

        return isMoved;
    }

    /// <summary>Counts the stripes that have two replicas in one place, and finds one, the replica that is to leave, and the sponsors elsewhere that could have it.</summary>
    private int FindCrowded(string[] places, out ulong stripe, out uint slots, out int leaving, out int[] have, out int[] targets)
    {
        LenderLink[] free = [.. _links.Now().Where(link => link is SponsorLink { IsHere: true } && link.ReclaimBytes == 0 && link.FullUntil <= Environment.TickCount64)];
        (ulong Stripe, uint Slots, int Leaving, int[] Have, int[] Targets) found = (0, 0, -1, [], []);
        int crowded = 0;
        _runOn(() =>
        {
            for (int number = 0; number < Set.Stripes.Count; number++)
            {
                if (Set.Stripes[(ulong)number] is not { IsLost: false } candidate || candidate.Count(ReplicaState.Live) < 2 || CrowdedReplica(candidate, places) is not (>= 0 and var from))
                {
                    continue;
                }

                crowded++;
                if (found.Targets.Length == 0 && !Set.Copier!.IsBusy)
                {
                    int[] apart = [.. free
                        .Where(link => link.FreeBytes >= (long)candidate.Slots << PageSize.Shift && SponsorSet.Find(candidate, link.Number) < 0 && IsApart(candidate, link.Number, from, places))
                        .Select(link => link.Number)];
                    found = ((ulong)number, candidate.Slots, from, [.. candidate.Replicas.Where(replica => replica.State != ReplicaState.None).Select(replica => replica.Sponsor)], apart);
                }
            }
        });
        (stripe, slots, leaving, have, targets) = found;
        return crowded;
    }

    /// <summary>The sponsor of a replica that is where another is; -1: none.</summary>
    private static int CrowdedReplica(StripeTable.Stripe stripe, string[] places)
    {
        foreach (Replica replica in stripe.Replicas)
        {
            if (replica.State == ReplicaState.Live && !IsApart(stripe, replica.Sponsor, replica.Sponsor, places))
            {
                return replica.Sponsor;
            }
        }

        return -1;
    }

    private void NoteCrowded(int crowded)
    {
        Volatile.Write(ref _crowded, crowded);
        if (crowded > 0 != _isCrowdTold)
        {
            _isCrowdTold = crowded > 0;
            if (_isCrowdTold)
            {
                Log.Crowded(_logger, crowded, _borrowing.Spread);
            }
            else
            {
                Log.Apart(_logger, _borrowing.Spread);
            }
        }
    }

    /// <summary>Sponsors that were found and that this program does not borrow from, as many as it can have.</summary>
    private SponsorEndpoint[] FoundAnew()
    {
        if (_borrowing.Finder is not { } finder)
        {
            return [];
        }

        LenderLink[] links = _links.Now();
        return
        [
            .. finder.Sponsors
                .Where(found => !Array.Exists(links, link => link.Instance == found.Instance || (link is SponsorLink sponsor && sponsor.Endpoint == found.Endpoint)))
                .Select(found => found.Endpoint)
                .Except(_absent)
                .Take(Math.Max(0, SponsorsMax - links.Length - _absent.Count)),
        ];
    }

    /// <summary>True of a sponsor that nobody has named and that is found no more.</summary>
    private bool HasGone(SponsorEndpoint sponsor) => _borrowing.Finder is { IsLive: true } finder && !_borrowing.Sponsors.Contains(sponsor) && !finder.Sponsors.Any(found => found.Endpoint == sponsor);

    /// <summary>Once of each.</summary>
    private void TellRefused(SponsorEndpoint sponsor, string why)
    {
        if (_refused.Add(sponsor))
        {
            PagerLog.SponsorNotHere(_logger, sponsor.Host, sponsor.Port, why);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "{Stripes} stripes have two replicas with the same {Label}, for want of a sponsor with another that has room; they move apart when there is one")]
        public static partial void Crowded(ILogger logger, int stripes, string label);

        [LoggerMessage(Level = LogLevel.Warning, Message = "No stripe has two replicas with the same {Label} any more")]
        public static partial void Apart(ILogger logger, string label);
    }
}
