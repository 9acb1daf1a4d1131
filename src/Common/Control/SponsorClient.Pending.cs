using System.Diagnostics;
using Hecatonchire.Control.Messages;

namespace Hecatonchire.Control;

internal sealed partial class SponsorClient
{
    /// <summary>
    /// A request on its way, and where its answer goes: to a waiting thread, or to a handler on the client's thread. It is
    /// either completed or abandoned, never both: an allocation is used by who asked or given back.
    /// </summary>
    private sealed class Pending(ControlRequest request, Action<ControlAnswer>? handler)
    {
        public readonly ControlRequest Request = request;
        private readonly Action<ControlAnswer>? _handler = handler;
        private readonly object _gate = new();
        private bool _completed;

        /// <summary>The waiting thread gave up: the answer is nobody's any more.</summary>
        public bool IsAbandoned { get; private set; }

        /// <summary>Null when the request ended without an answer.</summary>
        public ControlAnswer? Answer { get; private set; }

        /// <summary>False when nobody waits any more.</summary>
        public bool TryComplete(ControlAnswer? answer)
        {
            lock (_gate)
            {
                if (_completed || IsAbandoned)
                {
                    return false;
                }

                _completed = true;
                Answer = answer;
                Monitor.PulseAll(_gate);
            }

            if (answer is not null)
            {
                _handler?.Invoke(answer);
            }

            return true;
        }

        /// <summary>Waits for the end of the request; false when it does not come in time.</summary>
        public bool Wait(TimeSpan timeout)
        {
            long start = Stopwatch.GetTimestamp();
            lock (_gate)
            {
                while (!_completed)
                {
                    TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
                    if (left <= TimeSpan.Zero)
                    {
                        return false;
                    }

                    Monitor.Wait(_gate, left);
                }
            }

            return true;
        }

        /// <summary>Waits no more. True when the request had ended meanwhile.</summary>
        public bool Abandon()
        {
            lock (_gate)
            {
                IsAbandoned = !_completed;
                return _completed;
            }
        }
    }
}
