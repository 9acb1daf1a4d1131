using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>Answers everybody who connects to a pager's status socket with its report: one write.</summary>
internal sealed class StatusServer : IDisposable
{
    private readonly AskedSocket _socket;

    private StatusServer(AskedSocket socket) => _socket = socket;

    /// <summary>Null, with the reason, where this user has no place for the socket: a program need not fail for it.</summary>
    public static StatusServer? TryStart(IPagerHost pager, StatusSubject subject, out string problem) =>
        AskedSocket.TryOpen(
            () => StatusDirectory.PathFor(Environment.ProcessId),
            "heca-status",
            asking =>
            {
                asking.SendTimeout = 1000;
                _ = asking.Send(StatusReport.Of(pager, subject).ToJson());
            },
            out problem) is { } socket ? new StatusServer(socket) : null;

    public void Dispose() => _socket.Dispose();
}
