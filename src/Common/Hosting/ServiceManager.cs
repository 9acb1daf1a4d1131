using System.Globalization;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting.Systemd;

namespace Hecatonchire.Hosting;

/// <summary>
/// The service manager that has started this daemon, if one has: it is told when the daemon is ready and when it stops, and where it watches, that the daemon serves (sd_notify(3),
/// sd_watchdog_enabled(3)). Without one all of this does nothing.
/// </summary>
internal sealed class ServiceManager : IDisposable
{
    private const string Socket = "NOTIFY_SOCKET", WatchdogTime = "WATCHDOG_USEC", WatchdogProcess = "WATCHDOG_PID";

    /// <summary>Signs of life in the time after which none means that this daemon hangs: one may come late.</summary>
    private const int SignsPerTime = 3;

    private readonly SystemdNotifier _notifier = new();
    private readonly TimeSpan? _signTime = SignTime();
    private readonly ManualResetEventSlim _stop = new();
    private Thread? _watchdog;

    /// <summary>Reads what the manager has put into the environment and takes it out: what this daemon starts is not watched.</summary>
    public ServiceManager()
    {
        foreach (string name in (ReadOnlySpan<string>)[Socket, WatchdogTime, WatchdogProcess])
        {
            Environment.SetEnvironmentVariable(name, null);
        }
    }

    /// <summary>The daemon serves from now on.</summary>
    /// <param name="status">One line for `systemctl status`.</param>
    /// <param name="awaitProgress">
    /// Returns when what serves has done something since it was called, however long that takes; called on a thread of its own. While it does not return, or throws, the manager is told nothing, and
    /// ends this daemon.
    /// </param>
    public void NoteReady(string status, Action awaitProgress)
    {
        Tell($"READY=1\nSTATUS={status}");
        if (_notifier.IsEnabled && _signTime is { } time)
        {
            _watchdog = new Thread(() => Watch(time, awaitProgress)) { Name = "heca-watchdog", IsBackground = true };
            _watchdog.Start();
        }
    }

    /// <summary>The daemon ends, which may take a while; <paramref name="status"/> says what it waits for.</summary>
    public void NoteStopping(string status) => Tell($"STOPPING=1\nSTATUS={status}");

    /// <summary>No more signs of life.</summary>
    public void Dispose() => _stop.Set();

    private void Watch(TimeSpan time, Action awaitProgress)
    {
        do
        {
            try
            {
                awaitProgress();
            }
#pragma warning disable CA1031 // what cannot be asked does not serve
            catch (Exception)
#pragma warning restore CA1031
            {
                continue;
            }

            Tell("WATCHDOG=1");
        }
        while (!_stop.Wait(time));
    }

    private void Tell(string state)
    {
        try
        {
            _notifier.Notify(new ServiceState(state));
        }
        catch (SocketException)
        {
            // A manager that does not listen is none.
        }
    }

    private static TimeSpan? SignTime() =>
        long.TryParse(Environment.GetEnvironmentVariable(WatchdogTime), NumberStyles.None, CultureInfo.InvariantCulture, out long microseconds) && microseconds > 0
        && (Environment.GetEnvironmentVariable(WatchdogProcess) is null or "" || Environment.GetEnvironmentVariable(WatchdogProcess) == Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            ? TimeSpan.FromMicroseconds(microseconds / SignsPerTime)
            : null;
}
