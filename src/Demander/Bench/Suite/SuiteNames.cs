namespace Hecatonchire.Bench.Suite;

/// <summary>Words that reports use for what results.json has as names.</summary>
internal static class SuiteNames
{
    public static string Of(SuiteOutcome outcome) => outcome switch
    {
        SuiteOutcome.Done => "done",
        SuiteOutcome.Unverified => "NOT VERIFIED",
        SuiteOutcome.OomKilled => "OOM-killed",
        SuiteOutcome.TimedOut => "timed out",
        _ => "failed",
    };
}
