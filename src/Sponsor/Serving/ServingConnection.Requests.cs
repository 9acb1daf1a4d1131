using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;

namespace Hecatonchire.Sponsor.Serving;

/// <content>What a frame means: HELLO, READ, WRITE, and every reason to refuse one.</content>
internal sealed unsafe partial class ServingConnection
{
    /// <summary>An answer longer than this does not share a sendmsg with what is queued: a demand fetch goes out before it.</summary>
    private const int PagesSharedMax = 8;

    /// <summary>A request of this many pages is a prefetch or a write-back: nobody stands still for it.</summary>
    private const int BulkPagesMin = 16;

    /// <summary>
    /// Takes frames out of the receive buffer. True when it stopped although there is more in it, because what is queued should
    /// go out first.
    /// </summary>
    private bool TakeFrames()
    {
        while (true)
        {
            int available = _inputEnd - _inputStart;
            if (_writeLeft > 0)
            {
                // The buffer was emptied into the slab already; the rest is received there.
                return false;
            }

            switch (Phase)
            {
                case ConnectionPhase.Hello when available >= OpenFrame.Bytes:
                    TakeHello((OpenFrame*)(_input + _inputStart));
                    _inputStart += OpenFrame.Bytes;
                    continue;

                case ConnectionPhase.Ready when available >= FrameHeader.Bytes:
                    FrameHeader* header = (FrameHeader*)(_input + _inputStart);
                    uint waiting = _queued - _flushed;
                    if (waiting == AnswersMax || (waiting > 0 && header->Op == Frames.OpRead && header->Pages > PagesSharedMax))
                    {
                        return true;
                    }

                    _inputStart += FrameHeader.Bytes;
                    TakeRequest(*header);
                    continue;

                default:
                    return false;
            }
        }
    }

    private void TakeHello(OpenFrame* hello)
    {
        WireStatus status = Admit(hello);
        OpenFrame welcome = Welcome(status);
        _context.SponsorId.TryWriteBytes(new Span<byte>(welcome.Id, Frames.IdBytes), bigEndian: true, out _);

        // A WELCOME is as long as two answers: it takes the place of two in the empty queue.
        *(OpenFrame*)_answers = welcome;
        _payloads[0] = _payloads[1] = null;
        _queued = 2;
        Phase = status == WireStatus.Ok ? ConnectionPhase.Ready : ConnectionPhase.Refusing;
    }

    private WireStatus Admit(OpenFrame* hello)
    {
        if (hello->Magic != Frames.OpenMagic)
        {
            NoteRefusal(RefusalReason.Malformed, "what came is not a HELLO");
            return WireStatus.Malformed;
        }

        if (hello->Version != Frames.Version)
        {
            NoteRefusal(RefusalReason.Version, "it speaks another version of the protocol");
            return WireStatus.Version;
        }

        if (hello->Kind != Frames.KindHello || hello->Status != 0 || hello->PagesMax != 0)
        {
            NoteRefusal(RefusalReason.Malformed, "a field of its HELLO is not what it must be");
            return WireStatus.Malformed;
        }

        if (!_context.Directory.TryRedeem(
            new ReadOnlySpan<byte>(hello->Token, Frames.TokenBytes), new ReadOnlySpan<byte>(hello->Id, Frames.IdBytes), out _demander))
        {
            NoteRefusal(RefusalReason.Token, "its token is unknown, used or expired");
            return WireStatus.Token;
        }

        ServingShare share = _context.Directory.ShareOf(_demander);
        if (share.Connections >= _context.ConnectionsPerShareMax)
        {
            NoteRefusal(RefusalReason.TooManyConnections, "its demander has as many connections as one may have");
            return WireStatus.Busy;
        }

        _isDemander = true;
        Share = share;
        _context.Rounds.NoteConnection(Share, 1);
        _context.Directory.CountConnection(_demander, 1);
        return WireStatus.Ok;
    }

    private void TakeRequest(in FrameHeader header)
    {
        WireStatus status = Judge(header, out byte* memory);
        if (status != WireStatus.Ok)
        {
            Queue(header, status, null);
            Phase = ConnectionPhase.Refusing;
            return;
        }

        _counters.Requests++;
        IsBulk = header.Pages >= BulkPagesMin;
        if (header.Op == Frames.OpRead)
        {
            _counters.PagesRead += header.Pages;
            Queue(header, WireStatus.Ok, memory);
            return;
        }

        _write = header;
        _writeTarget = memory;
        _writeLeft = header.PayloadBytes;
        nuint here = Math.Min((nuint)(_inputEnd - _inputStart), _writeLeft);
        Buffer.MemoryCopy(_input + _inputStart, _writeTarget, (long)_writeLeft, (long)here);
        _inputStart += (int)here;
        TakePayload(here);
    }

    /// <summary>Notes that payload has arrived in the slab, and answers the WRITE when all of it has.</summary>
    private void TakePayload(nuint bytes)
    {
        _writeTarget += bytes;
        _writeLeft -= bytes;
        if (_writeLeft == 0)
        {
            _counters.PagesWritten += _write.Pages;
            Queue(_write, WireStatus.Ok, null);
        }
    }

    private WireStatus Judge(in FrameHeader header, out byte* memory)
    {
        memory = null;
        if (header.Magic != Frames.RequestMagic)
        {
            bool hello = header.Magic == Frames.OpenMagic;
            NoteRefusal(
                hello ? RefusalReason.SecondHello : RefusalReason.Malformed,
                hello ? "a second HELLO came" : "what came is not a request");
            return WireStatus.Malformed;
        }

        if (header.Op is not (Frames.OpRead or Frames.OpWrite) || header.Status != WireStatus.Ok || header.Reserved != 0)
        {
            NoteRefusal(RefusalReason.Malformed, "a request has an unknown op or a reserved field that is not 0");
            return WireStatus.Malformed;
        }

        if (header.Pages is 0 or > Frames.PagesPerRequestMax)
        {
            NoteRefusal(RefusalReason.OutOfRange, "a request has no pages or more than the limit");
            return WireStatus.OutOfRange;
        }

        if (!TryLocate(header, out memory, out bool slabFound))
        {
            NoteRefusal(
                slabFound ? RefusalReason.OutOfRange : RefusalReason.NoSuchSlab,
                slabFound ? "a request names slots outside its slab" : "a request names a slab this demander does not have");
            return slabFound ? WireStatus.OutOfRange : WireStatus.NoSuchSlab;
        }

        return WireStatus.Ok;
    }

    private bool TryLocate(in FrameHeader header, out byte* memory, out bool slabFound)
    {
        slabFound = _context.Directory.TryFind(_demander, header.Slab, out SlabView view);
        if (!slabFound || (ulong)header.Slot + header.Pages > view.Slots)
        {
            memory = null;
            return false;
        }

        memory = view.Memory + ((nuint)header.Slot << PageSize.Shift);
        return true;
    }

    private void Queue(in FrameHeader request, WireStatus status, byte* payload)
    {
        uint index = _queued++ & AnswerMask;
        FrameHeader answer = request;
        answer.Magic = Frames.ResponseMagic;
        answer.Status = status;
        answer.Reserved = 0;
        _answers[index] = answer;
        _payloads[index] = payload;
    }
}
