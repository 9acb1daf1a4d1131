using System.Text;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;

namespace Hecatonchire.Tests.Control;

/// <summary>Messages of every type with random fields, all from one seed.</summary>
internal sealed class RandomMessages(int seed)
{
    private readonly Random _random = new(seed);

    public ControlRequest NextRequest() => _random.Next(10) switch
    {
        0 => new HelloRequest(Number(), Id(), Text(ControlProtocol.NameBytesMax)),
        1 => new TokenRequest(Number()),
        2 => new AllocateRequest(Number(), Count()),
        3 => new FreeRequest(Number(), Number()),
        4 => new ListRequest(Number()),
        5 => new StatsRequest(Number()),
        6 => new ResetRequest(Number()),
        7 => new KeyRequest(Number(), Number(), (uint)_random.NextInt64(1L << 32)),
        8 => new OfferRequest(Number(), Count(), Bytes(ControlProtocol.AdminKeyBytes)),
        _ => new HeartbeatRequest(Number()),
    };

    public ControlAnswer NextAnswer() => _random.Next(11) switch
    {
        0 => new HelloAnswer(Number())
        {
            Sponsor = Id(),
            Instance = Id(),
            PageSize = _random.Next(),
            DataPort = _random.Next(65536),
            OfferedBytes = Count(),
            FreeBytes = Count(),
            SlabBytesMin = Count(),
            SlabBytesMax = Count(),
            GoneAfterMs = Count(),
            RdmaPort = _random.Next(65536),
            Transports = [.. Enumerable.Range(0, _random.Next(9)).Select(_ => Text(20))],
            Labels = Labels.From(Enumerable.Range(0, _random.Next(Labels.CountMax + 1)).Select(i => $"label-{i}=value.{_random.Next()}"), out _)!,
            Cluster = Id(),
        },
        1 => new TokenAnswer(Number(), Bytes(ControlProtocol.TokenBytes), _random.Next(65536), Count()),
        2 => new AllocateAnswer(Number(), Number(), Count()),
        3 => new FreeAnswer(Number()),
        4 => new ListAnswer(Number(), [.. Enumerable.Range(0, _random.Next(40)).Select(_ => new SlabEntry(Number(), Count()))]),
        5 => new StatsAnswer(Number())
        {
            OfferedBytes = Count(),
            LentBytes = Count(),
            FreeBytes = Count(),
            Demanders = Count(),
            DataConnections = Count(),
            PagesRead = Count(),
            PagesWritten = Count(),
            RequestsRefused = Count(),
            ReclaimBytes = Count(),
        },
        6 => new HeartbeatAnswer(Number()),
        7 => new KeyAnswer(Number(), Number(), (uint)_random.NextInt64(1L << 32)),
        8 => new ResetAnswer(Number()),
        9 => new OfferAnswer(Number(), Count(), Count()),
        _ => new ErrorAnswer(Number(), Text(20), Text(200)),
    };

    public byte[] NextFrame() => _random.Next(2) == 0 ? NextRequest().Encode() : NextAnswer().Encode();

    /// <summary>A valid frame with a few bytes changed, inserted or removed, or its end cut off.</summary>
    public byte[] NextMutant()
    {
        List<byte> frame = [.. NextFrame()];
        for (int changes = _random.Next(1, 4); changes > 0 && frame.Count > 0; changes--)
        {
            int place = _random.Next(frame.Count);
            switch (_random.Next(4))
            {
                case 0:
                    frame[place] = (byte)_random.Next(256);
                    break;
                case 1:
                    frame.Insert(place, (byte)_random.Next(256));
                    break;
                case 2:
                    frame.RemoveAt(place);
                    break;
                default:
                    frame.RemoveRange(place, frame.Count - place);
                    break;
            }
        }

        return [.. frame];
    }

    public byte[] NextNoise() => Bytes(_random.Next(64));

    private ulong Number() => (ulong)_random.NextInt64(long.MinValue, long.MaxValue) >> _random.Next(64);

    private long Count() => (long)(Number() >> 1);

    private Guid Id() => new(Bytes(16));

    private byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        _random.NextBytes(bytes);
        return bytes;
    }

    private string Text(int bytesMax)
    {
        StringBuilder text = new();
        for (int length = _random.Next((bytesMax / 4) + 1); length > 0; length--)
        {
            text.Append(Rune.IsValid(_random.Next(0x110000)) ? new Rune(_random.Next(0x20, 0xD800)) : 'x');
        }

        return text.ToString();
    }
}
