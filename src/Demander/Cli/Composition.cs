using Hecatonchire.Pager;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>The parts that commands are composed of.</summary>
internal static class Composition
{
    public static IPagerHost StartPager(PagerOptions options, ILoggerFactory loggers) =>
        throw new PagerStartException("this build has no pager yet", ExitStatus.Failed);

    public static ISponsorSource StartSponsor(long bytes) =>
        throw new CommandException("this build has no embedded sponsor yet", ExitStatus.Failed);
}
