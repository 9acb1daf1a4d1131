using System.Diagnostics;
using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Rdma;

/// <content>The ends of requests, and of the connection.</content>
internal sealed unsafe partial class RdmaDataConnection
{
    /// <summary>
    /// A queue in error gives its requests back at once. A device that has not by then is gone, and touches no buffer any more.
    /// </summary>
    private const int DrainMsMax = 200;

    /// <summary>enum ibv_wc_status: the sponsor's device refused the request (its key, its place).</summary>
    private const int RemoteInvalid = 9, RemoteAccess = 10, RemoteOperation = 11;

    /// <summary>enum ibv_wc_status: no answer from the sponsor's device.</summary>
    private const int RetriesExceeded = 12;

    /// <summary>Takes what has arrived off the completion queue. False when there was nothing.</summary>
    private bool TakeArrived()
    {
        int count = RdmaLibrary.Poll(_queue, _arrived, CompletionsMax);
        for (int i = 0; i < count; i++)
        {
            uint request = (uint)_arrived[i].Cookie;
            if (_arrived[i].Status != 0)
            {
                NoteFailed(request, _arrived[i].Status);
            }

            _ended = request + 1;
        }

        if (count < 0)
        {
            Break("the completion queue failed");
        }
        else if (_hasFailed && !IsBroken)
        {
            Break(BreakReason!);
        }

        return count > 0;
    }

    /// <summary>Whether the WRITEs before it that asked for no completion took effect is not known: nothing from the last known end on did.</summary>
    private void NoteFailed(uint request, int status)
    {
        if (!_hasFailed)
        {
            _hasFailed = true;
            _failedFrom = _ended;
            BreakReason ??= status == RetriesExceeded ? "the sponsor does not answer any more" : RdmaLibrary.Describe(status);
        }

        if (!_hasRefused && status is RemoteInvalid or RemoteAccess or RemoteOperation)
        {
            (_hasRefused, _refused) = (true, request);
        }
    }

    private int Deliver(Span<DataCompletion> completions, int done)
    {
        while (done < completions.Length && _completed != _ended)
        {
            DataStatus status = !_hasFailed || (int)(_completed - _failedFrom) < 0 ? DataStatus.Done
                : _hasRefused && _completed == _refused ? DataStatus.Refused : DataStatus.Disconnected;
            completions[done++] = new DataCompletion(_cookies[_completed & Mask], status);
            _completed++;
        }

        return done;
    }

    /// <summary>What made the wait descriptor readable: completions, the connection manager, the device.</summary>
    private void TakeEvents()
    {
        _armed = false;
        if (IsBroken)
        {
            return;
        }

        RdmaLibrary.Disarm(_queue);
        bool deviceLost = RdmaLibrary.TakeAsync(_opened.Id) > 0;
        RdmaEvent received;
        while (RdmaLibrary.NextEvent(_opened.Channel, &received) > 0)
        {
            switch (received.Kind)
            {
                case RdmaEventKind.Disconnected:
                    Break("the sponsor closed the connection");
                    break;
                case RdmaEventKind.DeviceRemoved:
                    deviceLost = true;
                    break;
                case RdmaEventKind.Failed:
                    Break("the connection manager gave the connection up");
                    break;
            }
        }

        if (deviceLost)
        {
            Break("the RDMA device was removed or has failed");
        }
        else if (Volatile.Read(ref *_queue->Failed) != 0)
        {
            Break("the device gave the queue up");
        }
    }

    /// <summary>
    /// Ends the connection and waits until the device has given every request back: only then are their buffers the caller's again.
    /// The sponsor is told at the disposal, when the network is there again (see <see cref="Reconnecting.DataLink"/>).
    /// </summary>
    private void Break(string reason)
    {
        if (IsBroken)
        {
            return;
        }

        IsBroken = true;
        BreakReason = reason;
        _ = RdmaLibrary.FailQueue(_queue);
        long started = Stopwatch.GetTimestamp();
        while (_ended != _submitted && Stopwatch.GetElapsedTime(started).TotalMilliseconds < DrainMsMax)
        {
            if (!TakeArrived())
            {
                _ = Libc.Yield();
            }
        }

        if (!_hasFailed)
        {
            (_hasFailed, _failedFrom) = (true, _ended);
        }

        // With what was never sent.
        _ended = _posted;
    }
}
