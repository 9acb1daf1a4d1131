namespace Hecatonchire.Transport.Striped;

/// <summary>Which replica a read goes to, as dm-multipath's path selectors have it.</summary>
internal enum ReadPolicy
{
    /// <summary>Where a page is expected soonest: by how long single pages took lately and by how much is in flight.</summary>
    ServiceTime,

    /// <summary>Where the least is in flight.</summary>
    ShortestQueue,

    /// <summary>Each in turn.</summary>
    RoundRobin,
}

/// <summary>Chooses the replica that a READ goes to, by policy and by what was learned of the sponsors.</summary>
internal sealed class ReadChoice(StripeMembers members, ReadPolicy policy)
{
    private const int ServiceShift = 3;
    private const int ForgetShift = 10;

    private int _turn;

    /// <summary>
    /// The sponsor of the live replica that promises most, of those that are away or of those that are not; -1: none. <paramref name="isFull"/> is then true when one has no
    /// room at the moment, and false else.
    /// </summary>
    /// <param name="stripe">Whose replicas.</param>
    /// <param name="isAway">Which of them: those that are away, or those that are here.</param>
    /// <param name="excluded">Sponsors, by their bits, that are not to be asked.</param>
    /// <param name="isFull">True from before stays so while none is chosen.</param>
    public int Choose(StripeTable.Stripe stripe, bool isAway, ulong excluded, ref bool isFull)
    {
        int chosen = -1;
        long least = long.MaxValue;
        Replica[] replicas = stripe.Replicas;
        for (int i = 0; i < replicas.Length; i++)
        {
            int sponsor = replicas[i].Sponsor;
            ref StripeMembers.Member member = ref members[sponsor];
            if (replicas[i].State != ReplicaState.Live || (excluded & (1UL << sponsor)) != 0 || member.Connection!.IsAway != isAway)
            {
                continue;
            }

            if (member.Connection.FreeRequests == 0)
            {
                isFull |= !members.NoteIfLost(sponsor);
                continue;
            }

            // What was slow once is tried again some time.
            member.ServiceTime -= member.ServiceTime >> ForgetShift;
            long cost = policy switch
            {
                ReadPolicy.ShortestQueue => member.InFlight,
                ReadPolicy.RoundRobin => sponsor >= _turn ? sponsor - _turn : sponsor + SponsorSet.SponsorsMax - _turn,
                _ => (member.ServiceTime + 1) * (member.InFlight + 1),
            };
            if (cost < least)
            {
                (chosen, least) = (sponsor, cost);
            }
        }

        if (policy == ReadPolicy.RoundRobin && chosen >= 0)
        {
            _turn = chosen + 1 < members.End ? chosen + 1 : 0;
        }

        isFull &= chosen < 0;
        return chosen;
    }

    /// <summary>A single page was <paramref name="took"/> on its way, in ticks of the stopwatch.</summary>
    public static void NoteService(ref StripeMembers.Member member, long took) =>
        member.ServiceTime += member.ServiceTime == 0 ? took : (took - member.ServiceTime) >> ServiceShift;
}
