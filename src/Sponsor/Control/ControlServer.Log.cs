using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Control;

internal sealed partial class ControlServer
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Control channel listens on {Address} port {Port}")]
    private partial void LogStarted(string address, int port);

    [LoggerMessage(Level = LogLevel.Information, Message = "Control channel stopped")]
    private partial void LogStopped();

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "Dropped a message that is no control message ({Frames} frames, the last of {Bytes} bytes); {LeftOut} more since the last line")]
    private partial void LogDropped(int frames, int bytes, long leftOut);

    [LoggerMessage(Message = "Demander {Id} ({Name}) is gone; {Bytes} bytes of its slabs freed")]
    private partial void LogGone(LogLevel level, Guid id, string name, long bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Ended the sessions of demander {Id} ({Name}), key {Key}: {Why}")]
    private partial void LogCutOff(Guid id, string name, string? key, string why);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The thread of the control channel failed")]
    private partial void LogFailed(Exception failure);
}
