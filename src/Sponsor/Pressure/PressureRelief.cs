using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Pressure;

/// <summary>
/// Gives lent memory back to the host while its programs wait for memory, before the kernel swaps it out or kills: lowers what is offered below what is lent, step by
/// step, which asks the demanders for the rest; and raises it again, slower, when nobody has waited for a while. The control thread's.
/// </summary>
internal sealed partial class PressureRelief(SlabStore store, StallMeter meter, PressureReliefOptions options, TimeProvider time, ILogger<PressureRelief> logger)
{
    private long _lookedAt = time.GetTimestamp();
    private long _changedAt;
    private long _bearable = long.MaxValue;

    /// <summary>Looks, once a second at most.</summary>
    public void Look()
    {
        long now = time.GetTimestamp();
        if (options.StallShareMax <= 0 || !meter.IsAble || time.GetElapsedTime(_lookedAt, now) < options.LookTime)
        {
            return;
        }

        _lookedAt = now;
        double share = meter.Look();
        long lent = store.LentBytes;
        long step = Math.Clamp(lent / 8, options.StepBytesMin, options.StepBytesMax);
        if (share > options.StallShareMax)
        {
            // Not further ahead of the demanders than two steps: what they are asked for takes a while to arrive, and then it may be enough.
            Bear(Math.Max(Math.Max(0, lent - (2 * step)), Math.Min(_bearable, lent) - step), share, now);
        }
        else if (_bearable != long.MaxValue && time.GetElapsedTime(_changedAt, now) > options.QuietTime)
        {
            Bear(_bearable + step < store.ToldBytes ? _bearable + step : long.MaxValue, share, now);
        }
    }

    private void Bear(long bytes, double share, long now)
    {
        long before = _bearable;
        (_bearable, _changedAt) = (bytes, now);
        store.Bear(bytes);
        if (before == long.MaxValue && bytes != long.MaxValue)
        {
            LogShort(share, new ByteSize(Math.Max(0, store.LentBytes - bytes)));
        }
        else if (bytes == long.MaxValue && before != long.MaxValue)
        {
            LogOver();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "This host's programs wait for memory ({Share:P0} of the last second): {Bytes} and more is asked back")]
    private partial void LogShort(double share, ByteSize bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "This host's programs have memory again: all of the offer is lent again")]
    private partial void LogOver();
}

/// <summary>When a host is short of memory, and how fast it gets some back.</summary>
internal sealed record PressureReliefOptions
{
    /// <summary>More than this share of a second; 0: never.</summary>
    public required double StallShareMax { get; init; }

    public TimeSpan LookTime { get; init; } = TimeSpan.FromMilliseconds(900);

    /// <summary>How long nobody has waited before some of it is offered again, each time.</summary>
    public TimeSpan QuietTime { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>A slab at least, and no more at a time than demanders can move in some seconds.</summary>
    public long StepBytesMin { get; init; } = 64L << 20;

    public long StepBytesMax { get; init; } = 1L << 30;
}
