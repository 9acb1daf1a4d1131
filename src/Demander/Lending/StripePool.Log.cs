using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <content>What is said of the sponsors and the stripes.</content>
internal sealed partial class StripePool
{
    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Sponsor} is lost: {Why}")]
        public static partial void SponsorLost(ILogger logger, string sponsor, string why);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Sponsor} has returned {Times} times more what had not been written to it: its memory or the network changes bits")]
        public static partial void Corrupted(ILogger logger, string sponsor, long times);

        [LoggerMessage(Level = LogLevel.Warning, Message = "No sponsor has room: pages go to {Spill}")]
        public static partial void Spilling(ILogger logger, string spill);

        [LoggerMessage(Level = LogLevel.Warning, Message = "All pages are on sponsors again, none is in {Spill}")]
        public static partial void Unspilled(ILogger logger, string spill);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Write-backs to {Spill} wait until its disk takes them: {Why}")]
        public static partial void Held(ILogger logger, string spill, string why);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Sponsor} is back; it holds nothing of this program yet")]
        public static partial void SponsorReturned(ILogger logger, string sponsor);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Sponsor} is there now, and lends too")]
        public static partial void SponsorJoined(ILogger logger, string sponsor);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Stripes} stripes have fewer replicas than they should; they are filled anew where there is a sponsor for it")]
        public static partial void Degraded(ILogger logger, int stripes);

        [LoggerMessage(Level = LogLevel.Warning, Message = "All stripes have their replicas again")]
        public static partial void Whole(ILogger logger);

        [LoggerMessage(Level = LogLevel.Warning, Message = "No sponsor has memory in place of what was lost: the program grows beyond --local")]
        public static partial void Short(ILogger logger);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{Bytes} more cannot be borrowed: there is no memory here for what its pages are sealed with, 6 MiB a GiB ({Why})")]
        public static partial void NotSealed(ILogger logger, Units.ByteSize bytes, string why);

        [LoggerMessage(Level = LogLevel.Information, Message = "The care for the stripes was put off: {Why}")]
        public static partial void CareFailed(ILogger logger, string why);
    }
}
