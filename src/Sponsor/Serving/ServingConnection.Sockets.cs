using Hecatonchire.Interop;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;

namespace Hecatonchire.Sponsor.Serving;

/// <content>The socket side: receiving into buffer and slab, sending out of slabs, and the end of a refused connection.</content>
internal sealed unsafe partial class ServingConnection
{
    /// <summary>Receives in one turn, so that a busy connection leaves others their turn.</summary>
    private const int ReceivesPerTurn = 8;

    /// <summary>The same for answers: 16 times 1 MiB is a few milliseconds.</summary>
    private const int FlushesPerTurn = 16;

    private ServeOutcome Receive(bool worked)
    {
        for (int turn = 0; turn < ReceivesPerTurn && _budget > 0 && !IsHeldBack && !HasMore && Phase is ConnectionPhase.Hello or ConnectionPhase.Ready; turn++)
        {
            if (_inputStart > 0)
            {
                // Less than a frame is left: TakeFrames took the rest.
                Buffer.MemoryCopy(_input + _inputStart, _input, InputBytes, _inputEnd - _inputStart);
                _inputEnd -= _inputStart;
                _inputStart = 0;
            }

            nuint payload = Math.Min(_writeLeft, BudgetBytes);
            nuint room = payload < _writeLeft ? 0 : (nuint)(InputBytes - _inputEnd);
            nint count;
            if (payload == 0)
            {
                count = Libc.Receive(Descriptor, _input + _inputEnd, room, Libc.MSG_DONTWAIT);
            }
            else
            {
                IoVector* vectors = _context.Vectors;
                vectors[0] = new IoVector(_writeTarget, payload);
                vectors[1] = new IoVector(_input + _inputEnd, room);
                count = Libc.ReadVector(Descriptor, vectors, room > 0 ? 2 : 1);
            }

            if (count <= 0)
            {
                if (count < 0 && Errno.Classify(Libc.Errno) == ErrnoClass.Retry)
                {
                    break;
                }

                if (payload > 0 || _inputEnd > 0 || Phase == ConnectionPhase.Hello)
                {
                    NoteRefusal(RefusalReason.Truncated, "the peer went away in the middle of a frame");
                }

                return ServeOutcome.Ended;
            }

            worked = true;
            _budget -= count;
            nuint intoSlab = Math.Min((nuint)count, payload);
            if (payload > 0)
            {
                TakePayload(intoSlab);
            }

            _inputEnd += (int)((nuint)count - intoSlab);
            if (!Answer())
            {
                return ServeOutcome.Ended;
            }

            if ((nuint)count < payload + room)
            {
                break;
            }
        }

        return worked ? ServeOutcome.Worked : ServeOutcome.Idle;
    }

    /// <summary>
    /// Takes what is in the receive buffer and sends the answers; false when the socket failed. Stops with
    /// <see cref="HasMore"/> when the turn is over.
    /// </summary>
    private bool Answer()
    {
        for (int turn = 0; turn < FlushesPerTurn; turn++)
        {
            HasMore = TakeFrames();
            if (!Flush())
            {
                return false;
            }

            if (!HasMore || IsHeldBack || _budget <= 0)
            {
                break;
            }
        }

        return true;
    }

    /// <summary>Sends the answers that wait, as far as the socket takes them; false when it failed.</summary>
    private bool Flush()
    {
        while (_flushed != _queued)
        {
            MessageHeader message = new() { Vectors = _context.Vectors, VectorCount = (nuint)ListAnswers(out nuint listed) };
            nint count = Libc.SendMessage(Descriptor, &message, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT);
            if (count < 0)
            {
                return Errno.Classify(Libc.Errno) == ErrnoClass.Retry;
            }

            TakeFlushed((nuint)count);
            _budget -= count;
            if ((nuint)count < listed || _budget <= 0)
            {
                if (_flushed == _queued)
                {
                    break;
                }

                return true;
            }
        }

        if (Phase == ConnectionPhase.Refusing)
        {
            // The peer sees the refusal and then the end. What it still sends is read and dropped: closing with unread input would
            // make the kernel reset the connection, and the refusal would be lost.
            _ = Libc.Shutdown(Descriptor, Libc.SHUT_WR);
            Phase = ConnectionPhase.Lingering;
        }

        return true;
    }

    /// <summary>What one call may move: a page at least, or a small budget would cost a call for each byte.</summary>
    private nuint BudgetBytes => (nuint)Math.Max(_budget, PageSize.Bytes);

    private int ListAnswers(out nuint listed)
    {
        nuint most = BudgetBytes;
        IoVector* vectors = _context.Vectors;
        int count = 0;
        nuint skip = _flushedBytes;
        listed = 0;
        for (uint i = _flushed; i != _queued && listed < most; i++)
        {
            FrameHeader* answer = _answers + (i & AnswerMask);
            if (skip < FrameHeader.Bytes)
            {
                IoVectors.Append(vectors, ref count, (byte*)answer + skip, FrameHeader.Bytes - skip);
                listed += FrameHeader.Bytes - skip;
                skip = 0;
            }
            else
            {
                skip -= FrameHeader.Bytes;
            }

            byte* payload = _payloads[i & AnswerMask];
            if (payload is not null)
            {
                // At least a byte: the header alone may have used the budget up.
                nuint left = Math.Min(answer->PayloadBytes - skip, Math.Max(most, listed + 1) - listed);
                IoVectors.Append(vectors, ref count, payload + skip, left);
                listed += left;
            }

            skip = 0;
        }

        return count;
    }

    private void TakeFlushed(nuint count)
    {
        while (count > 0)
        {
            uint index = _flushed & AnswerMask;
            nuint frame = FrameHeader.Bytes + (_payloads[index] is null ? 0 : _answers[index].PayloadBytes);
            nuint taken = Math.Min(count, frame - _flushedBytes);
            count -= taken;
            _flushedBytes += taken;
            if (_flushedBytes == frame)
            {
                _flushed++;
                _flushedBytes = 0;
            }
        }
    }

    private ServeOutcome Discard()
    {
        for (int turn = 0; turn < ReceivesPerTurn; turn++)
        {
            nint count = Libc.Receive(Descriptor, _input, InputBytes, Libc.MSG_DONTWAIT);
            if (count <= 0)
            {
                return count < 0 && Errno.Classify(Libc.Errno) == ErrnoClass.Retry ? ServeOutcome.Idle : ServeOutcome.Ended;
            }
        }

        return ServeOutcome.Idle;
    }
}
