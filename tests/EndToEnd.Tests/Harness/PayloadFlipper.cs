using System.Runtime.InteropServices;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Harness;

/// <summary>
/// Follows one direction of a data connection (docs/protocol.md) and flips single bits of pages that travel in it, never of a header. Which pages and bits, the seed and
/// the pages' order decide.
/// </summary>
/// <param name="isAnswers">What the sponsor sends, not what it is sent.</param>
/// <param name="share">Asked at the start of each page: how likely it is to be damaged, 0 to 1.</param>
/// <param name="seed">Of all that is random here.</param>
internal sealed class PayloadFlipper(bool isAnswers, Func<double> share, int seed)
{
    private const int None = -1;

    private readonly Random _random = new(seed);
    private readonly byte[] _header = new byte[OpenFrame.Bytes];

    /// <summary>The first frame is HELLO or WELCOME, all others are requests or answers.</summary>
    private int _headerBytes = OpenFrame.Bytes;
    private int _headerHas;
    private long _payloadLeft;
    private int _flipAt = None;

    /// <summary>The next bytes of the stream, cut anywhere. Returns how many bits of them were flipped.</summary>
    public int Pass(Span<byte> bytes)
    {
        int flips = 0;
        while (!bytes.IsEmpty)
        {
            int count = _payloadLeft > 0 ? PassPage(bytes, ref flips) : PassHeader(bytes);
            bytes = bytes[count..];
        }

        return flips;
    }

    private int PassHeader(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, _headerBytes - _headerHas);
        bytes[..count].CopyTo(_header.AsSpan(_headerHas));
        _headerHas += count;
        if (_headerHas == _headerBytes)
        {
            if (_headerBytes == FrameHeader.Bytes)
            {
                FrameHeader header = MemoryMarshal.Read<FrameHeader>(_header);
                bool hasPages = isAnswers ? header is { Op: Frames.OpRead, Status: WireStatus.Ok } : header.Op == Frames.OpWrite;
                _payloadLeft = hasPages ? (long)header.PayloadBytes : 0;
            }

            (_headerHas, _headerBytes) = (0, FrameHeader.Bytes);
        }

        return count;
    }

    private int PassPage(Span<byte> bytes, ref int flips)
    {
        int place = (int)((PageSize.Bytes - (_payloadLeft % PageSize.Bytes)) % PageSize.Bytes);
        if (place == 0)
        {
            _flipAt = _random.NextDouble() < share() ? _random.Next(PageSize.Bytes) : None;
        }

        int count = Math.Min(bytes.Length, PageSize.Bytes - place);
        if (_flipAt >= place && _flipAt < place + count)
        {
            bytes[_flipAt - place] ^= (byte)(1 << _random.Next(8));
            flips++;
        }

        _payloadLeft -= count;
        return count;
    }
}
