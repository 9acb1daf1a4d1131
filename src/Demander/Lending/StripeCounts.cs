namespace Hecatonchire.Lending;

/// <summary>What has come about with the replicas of stripes since they were had.</summary>
/// <param name="Corrupted">How often what came from a sponsor was not what had been written.</param>
/// <param name="Repaired">Pages that were written anew to a replica that did not have them as they were written.</param>
/// <param name="Hedged">Reads that were late and were asked of a second replica.</param>
/// <param name="HedgesWon">Those of them that the second answered first.</param>
internal readonly record struct StripeCounts(long Corrupted, long Repaired, long Hedged, long HedgesWon)
{
    public static StripeCounts operator +(StripeCounts one, StripeCounts other) =>
        new(one.Corrupted + other.Corrupted, one.Repaired + other.Repaired, one.Hedged + other.Hedged, one.HedgesWon + other.HedgesWon);
}
