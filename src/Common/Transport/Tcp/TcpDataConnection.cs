using System.Net;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Tcp;

/// <summary>
/// The demander's end of a TCP data connection. Requests go out in one sendmsg per <see cref="Submit"/>, payloads straight from
/// the caller's buffers; because answers come in the order of the requests, one readv takes headers and payloads straight
/// into the caller's buffers: a 4 KiB READ completes with one system call.
/// Posting more pages than <see cref="PagesPerRequestMax"/> or less than one returns false.
/// </summary>
internal sealed unsafe partial class TcpDataConnection : IDataConnection
{
    /// <summary>Bounds what is in flight; a power of two, 96 KiB of state in all.</summary>
    public const int RequestsInFlightMax = 1024;

    private const uint Mask = RequestsInFlightMax - 1;

    /// <summary>IOV_MAX of Linux.</summary>
    private const int SendVectorsMax = 1024;

    /// <summary>One sendmsg takes no more: a socket buffer holds less, and what is left over is listed again.</summary>
    private const int SendBytesMax = 8 << 20;

    // Free-running counters: completed <= sent <= submitted <= posted <= completed + RequestsInFlightMax.
    private uint _posted;
    private uint _submitted;
    private uint _sent;
    private uint _completed;

    /// <summary>Bytes of request <see cref="_sent"/> that are out already.</summary>
    private nuint _sentBytes;

    /// <summary>Bytes of response <see cref="_completed"/> that are in already.</summary>
    private nuint _receivedBytes;

    /// <summary>
    /// A send failed for good. Not yet the end: answers, and the reason why the sponsor closed, may still be in the receive
    /// buffer. Poll takes them and then finds the end.
    /// </summary>
    private bool _outputEnded;

    private readonly int _descriptor;
    private readonly FrameHeader* _requests;
    private readonly FrameHeader* _responses;
    private readonly Request* _entries;
    private readonly IoVector* _vectors;
    private bool _disposed;

    private struct Request
    {
        public ulong Cookie;
        public byte* Buffer;
    }

    private TcpDataConnection(int descriptor, Guid sponsorId, int pagesPerRequestMax)
    {
        _descriptor = descriptor;
        SponsorId = sponsorId;
        PagesPerRequestMax = pagesPerRequestMax;
        EndReason.Prepare();

        nuint bytes = RequestsInFlightMax * (nuint)(2 * sizeof(FrameHeader) + sizeof(Request)) + SendVectorsMax * (nuint)sizeof(IoVector);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(bytes, 4096);

        // Written now, so that no page of it has to be found when memory is short.
        NativeMemory.Clear(memory, bytes);
        _requests = (FrameHeader*)memory;
        _responses = _requests + RequestsInFlightMax;
        _entries = (Request*)(_responses + RequestsInFlightMax);
        _vectors = (IoVector*)(_entries + RequestsInFlightMax);
    }

    /// <summary>Opens a connection. Throws <see cref="DataConnectionException"/>; nothing else here ever throws.</summary>
    /// <param name="sponsor">The sponsor's data port.</param>
    /// <param name="demanderId">Who asks; on the wire in the order it is written in.</param>
    /// <param name="token">32 bytes from the control channel, used up by this call.</param>
    /// <param name="timeout">For connecting and the HELLO together.</param>
    public static TcpDataConnection Connect(
        IPEndPoint sponsor, Guid demanderId, ReadOnlySpan<byte> token, TimeSpan timeout)
    {
        int descriptor = new TcpOpening(sponsor, timeout)
            .Open(demanderId, token, out Guid sponsorId, out int pagesPerRequestMax);
        return new TcpDataConnection(descriptor, sponsorId, pagesPerRequestMax);
    }

    public string Transport => "tcp";

    /// <summary>Who the sponsor says it is.</summary>
    public Guid SponsorId { get; }

    public int PagesPerRequestMax { get; }

    public int FreeRequests => IsBroken ? 0 : RequestsInFlightMax - (int)(_posted - _completed);

    public bool IsBroken { get; private set; }

    /// <summary>Once broken: why, in a few words for a message to people.</summary>
    public string? BreakReason { get; private set; }

    public int WaitDescriptor => _descriptor;

    public uint WaitEvents => _sent == _submitted || _outputEnded || IsBroken ? Libc.EPOLLIN : Libc.EPOLLIN | Libc.EPOLLOUT;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(Frames.OpRead, cookie, slab, slot, pages, buffer);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(Frames.OpWrite, cookie, slab, slot, pages, buffer);

    private bool TryPost(byte op, ulong cookie, ulong slab, uint slot, int pages, byte* buffer)
    {
        if (IsBroken || _posted - _completed == RequestsInFlightMax || pages < 1 || pages > PagesPerRequestMax)
        {
            return false;
        }

        uint index = _posted & Mask;
        _requests[index] = new FrameHeader
        {
            Magic = Frames.RequestMagic,
            Op = op,
            Pages = (ushort)pages,
            Slab = slab,
            Slot = slot,
            Id = _posted,
        };
        _entries[index] = new Request { Cookie = cookie, Buffer = buffer };
        _posted++;
        return true;
    }

    public void Submit()
    {
        _submitted = _posted;
        if (_sent != _submitted && !IsBroken)
        {
            Send();
        }
    }

    private void Send()
    {
        while (_sent != _submitted && !_outputEnded)
        {
            MessageHeader message = new() { Vectors = _vectors, VectorCount = (nuint)ListOutput(out nuint listed) };
            nint count = Libc.SendMessage(_descriptor, &message, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT);
            if (count < 0)
            {
                int errno = Libc.Errno;
                if (errno == Errno.EINTR)
                {
                    continue;
                }

                _outputEnded = Errno.Classify(errno) != ErrnoClass.Retry;
                return;
            }

            TakeSent((nuint)count);
            if ((nuint)count < listed)
            {
                return;
            }
        }
    }

    /// <summary>Lists what is to be sent; headers that follow each other in memory share one vector.</summary>
    private int ListOutput(out nuint listed)
    {
        int count = 0;
        nuint skip = _sentBytes;
        listed = 0;
        for (uint i = _sent; i != _submitted && count <= SendVectorsMax - 2 && listed < SendBytesMax; i++)
        {
            FrameHeader* header = _requests + (i & Mask);
            if (skip < FrameHeader.Bytes)
            {
                IoVectors.Append(_vectors, ref count, (byte*)header + skip, FrameHeader.Bytes - skip);
                listed += FrameHeader.Bytes - skip;
                skip = 0;
            }
            else
            {
                skip -= FrameHeader.Bytes;
            }

            if (header->Op == Frames.OpWrite)
            {
                nuint left = header->PayloadBytes - skip;
                IoVectors.Append(_vectors, ref count, _entries[i & Mask].Buffer + skip, left);
                listed += left;
            }

            skip = 0;
        }

        return count;
    }

    private void TakeSent(nuint count)
    {
        while (count > 0)
        {
            FrameHeader* header = _requests + (_sent & Mask);
            nuint frame = FrameHeader.Bytes + (header->Op == Frames.OpWrite ? header->PayloadBytes : 0);
            nuint taken = Math.Min(count, frame - _sentBytes);
            count -= taken;
            _sentBytes += taken;
            if (_sentBytes == frame)
            {
                _sent++;
                _sentBytes = 0;
            }
        }
    }

    private void Break(int errno) => Break(errno switch
    {
        Errno.ECONNRESET or Errno.EPIPE => EndReason.Gone,
        Errno.ETIMEDOUT => EndReason.Silent,
        _ => EndReason.Failed,
    });

    private void Break(string reason)
    {
        IsBroken = true;
        BreakReason = reason;

        // The sponsor learns of it now; the descriptor stays valid for a caller that waits on it until Dispose.
        _ = Libc.Shutdown(_descriptor, Libc.SHUT_RDWR);
    }

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            IsBroken = true;
            _posted = _submitted = _sent = _completed;
            _ = Libc.Close(_descriptor);
            NativeMemory.AlignedFree(_requests);
        }
    }
}
