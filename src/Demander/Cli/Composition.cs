using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>The parts that commands are composed of.</summary>
internal static class Composition
{
    public static IMeasuredPager StartMeasured(PagerOptions options, ILoggerFactory loggers) => PagerHost.Start(options, loggers);

    public static IPagerHost StartPager(PagerOptions options, ILoggerFactory loggers) => PagerHost.Start(options, loggers);

    public static ISponsorSource StartSponsor(long bytes, TransportPreference transport) => EmbeddedSponsor.Start(bytes, transport);
}
