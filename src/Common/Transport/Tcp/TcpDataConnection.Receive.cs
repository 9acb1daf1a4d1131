using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Tcp;

/// <content>The receiving half: answers in request order, payloads straight into the callers' buffers.</content>
internal sealed unsafe partial class TcpDataConnection
{
    /// <summary>Answers one readv lists ahead. More would cost more to list than a call saves.</summary>
    private const int ReceiveAheadMax = 32;

    public int Poll(Span<DataCompletion> completions)
    {
        int done = 0;
        if (!IsBroken && _sent != _submitted)
        {
            Send();
        }

        while (!IsBroken && done < completions.Length)
        {
            // An answer can come before all of a WRITE's payload is out, but only a refusal (see Check).
            uint expected = _sent + (_sentBytes >= FrameHeader.Bytes ? 1u : 0u);
            if (expected == _completed)
            {
                LookForTheEnd();
                break;
            }

            int vectors = ListInput(expected, completions.Length - done, out nuint listed);
            nint count = Libc.ReadVector(_descriptor, _vectors, vectors);
            if (count <= 0)
            {
                if (count < 0 && Libc.Errno == Errno.EINTR)
                {
                    continue;
                }

                EndInput(count);
                break;
            }

            done = TakeReceived((nuint)count, completions, done);
            if ((nuint)count < listed)
            {
                break;
            }
        }

        return IsBroken ? CompleteDisconnected(completions, done) : done;
    }

    /// <summary>
    /// Lists where the next bytes go. The payload buffer of a READ may so receive bytes of a refusal that came instead
    /// of its data: it then completes as not done.
    /// </summary>
    private int ListInput(uint expected, int roomForCompletions, out nuint listed)
    {
        uint ahead = Math.Min(expected - _completed, (uint)Math.Min(roomForCompletions, ReceiveAheadMax));
        uint end = _completed + ahead;
        int count = 0;
        nuint skip = _receivedBytes;
        listed = 0;
        for (uint i = _completed; i != end; i++)
        {
            uint index = i & Mask;
            if (skip < FrameHeader.Bytes)
            {
                IoVectors.Append(_vectors, ref count, (byte*)(_responses + index) + skip, FrameHeader.Bytes - skip);
                listed += FrameHeader.Bytes - skip;
                skip = 0;
            }
            else
            {
                skip -= FrameHeader.Bytes;
            }

            FrameHeader* request = _requests + index;
            if (request->Op == Frames.OpRead)
            {
                nuint left = request->PayloadBytes - skip;
                IoVectors.Append(_vectors, ref count, _entries[index].Buffer + skip, left);
                listed += left;
            }

            skip = 0;
        }

        return count;
    }

    private int TakeReceived(nuint count, Span<DataCompletion> completions, int done)
    {
        while (count > 0)
        {
            uint index = _completed & Mask;
            FrameHeader* request = _requests + index;
            if (_receivedBytes < FrameHeader.Bytes)
            {
                nuint part = Math.Min(count, FrameHeader.Bytes - _receivedBytes);
                count -= part;
                _receivedBytes += part;
                if (_receivedBytes < FrameHeader.Bytes)
                {
                    break;
                }

                FrameHeader* response = _responses + index;
                if (!Check(response, request))
                {
                    Break(EndReason.Unfit);
                    break;
                }

                if (response->Status != WireStatus.Ok)
                {
                    completions[done++] = new DataCompletion(_entries[index].Cookie, DataStatus.Refused);
                    _completed++;
                    Break(EndReason.Refused);
                    break;
                }
            }

            nuint frame = FrameHeader.Bytes + (request->Op == Frames.OpRead ? request->PayloadBytes : 0);
            nuint taken = Math.Min(count, frame - _receivedBytes);
            count -= taken;
            _receivedBytes += taken;
            if (_receivedBytes == frame)
            {
                completions[done++] = new DataCompletion(_entries[index].Cookie, DataStatus.Done);
                _completed++;
                _receivedBytes = 0;
            }
        }

        return done;
    }

    /// <summary>True when a response repeats its request and its status makes sense where the request stands.</summary>
    private bool Check(FrameHeader* response, FrameHeader* request)
    {
        bool wholeRequestIsOut = _completed != _sent;
        return response->Magic == Frames.ResponseMagic
            && response->Op == request->Op
            && response->Pages == request->Pages
            && response->Slab == request->Slab
            && response->Slot == request->Slot
            && response->Reserved == 0
            && response->Id == request->Id
            && (response->Status == WireStatus.Ok ? wholeRequestIsOut : response->Status <= WireStatus.Busy);
    }

    /// <summary>With nothing to wait for, only the end of the connection can arrive.</summary>
    private void LookForTheEnd()
    {
        byte unexpected;
        nint count = Libc.Receive(_descriptor, &unexpected, 1, Libc.MSG_DONTWAIT);
        if (count > 0)
        {
            Break(EndReason.Unasked);
            return;
        }

        EndInput(count);
    }

    private void EndInput(nint count)
    {
        if (count == 0)
        {
            Break(EndReason.Closed);
            return;
        }

        int errno = Libc.Errno;
        if (Errno.Classify(errno) != ErrnoClass.Retry)
        {
            Break(errno);
        }
    }

    private int CompleteDisconnected(Span<DataCompletion> completions, int done)
    {
        while (done < completions.Length && _completed != _posted)
        {
            completions[done++] = new DataCompletion(_entries[_completed & Mask].Cookie, DataStatus.Disconnected);
            _completed++;
        }

        return done;
    }
}
