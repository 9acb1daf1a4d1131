using System.Net.Sockets;
using System.Text.Json;
using Hecatonchire.Pager;

namespace Hecatonchire.Service;

/// <summary>
/// What `heca run` asks the host's pager: first <see cref="Open"/>, then, as often as it likes, without it for the figures. One JSON object in one packet
/// of a SOCK_SEQPACKET Unix socket, and one <see cref="ServiceAnswer"/> for each. The end of the connection is the end of the asking: the pager goes on as long as
/// it serves a program.
/// </summary>
internal sealed record ServiceRequest
{
    public OpenRequest? Open { get; init; }

    /// <summary>Instead of it, where the service has died and another is there: the socket of the program's pager.</summary>
    public string? Attach { get; init; }

    /// <summary>Instead of the figures: its program's segments from this one on, at most <see cref="ServicePackets.SegmentsMax"/> of them.</summary>
    public int? SegmentsFrom { get; init; }

    /// <summary>Instead of the figures: a segment's length is to be changed.</summary>
    public SegmentResize? Resize { get; init; }
}

/// <summary>A segment's length is to be changed from outside of its program.</summary>
internal sealed record SegmentResize
{
    /// <summary>32 hexadecimal digits.</summary>
    public required string Id { get; init; }

    public required long Bytes { get; init; }

    public required SegmentChange Change { get; init; }
}

/// <summary>A pager for one program is asked for, with the options of `heca run`, as they are written there.</summary>
internal sealed record OpenRequest
{
    /// <summary>Null: what the service gives a program that does not say.</summary>
    public string? Local { get; init; }

    public required string Prefetch { get; init; }

    public required string Eviction { get; init; }

    public required bool Clean { get; init; }

    public required long CaptureBytesMin { get; init; }

    public required IReadOnlyList<string> CaptureExcept { get; init; }

    public required bool ManyPrograms { get; init; }

    public required double StopAfterSeconds { get; init; }
}

/// <summary>What is written down beside a program's socket, for the service that goes on when this one has died.</summary>
internal sealed record ServiceJob
{
    public required OpenRequest Open { get; init; }

    public required uint User { get; init; }
}

internal sealed record ServiceAnswer
{
    /// <summary>Why there is no pager, in one line; null: all is well.</summary>
    public string? Error { get; init; }

    /// <summary>With an error the exit status that goes with it.</summary>
    public int Status { get; init; }

    public OpenedPager? Opened { get; init; }

    public PagerFigures? Figures { get; init; }

    public IReadOnlyList<SegmentReport>? Segments { get; init; }
}

/// <summary>The pager that was asked for.</summary>
internal sealed record OpenedPager
{
    /// <summary>What the program finds in HECA_SOCKET.</summary>
    public required string SocketPath { get; init; }

    /// <summary>HOST:PORT.</summary>
    public required string Sponsor { get; init; }

    /// <summary>The bound that holds.</summary>
    public required string Local { get; init; }
}

/// <summary>How its program does.</summary>
internal sealed record PagerFigures
{
    public required PagerSnapshot Snapshot { get; init; }

    /// <summary>Of the fault latencies; see <see cref="Metrics.LatencyHistogram.ToValues"/>.</summary>
    public required long[] Latencies { get; init; }

    public required int[] Programs { get; init; }

    public required string? Failure { get; init; }
}

/// <summary>Packets of the service's socket.</summary>
internal static class ServicePackets
{
    private const int BytesMax = 128 * 1024;

    /// <summary>Of 400 bytes each at most, and 800 more of the <see cref="SegmentReport.MapsMax"/> that have a map.</summary>
    public const int SegmentsMax = 200;

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>For its writer only. Throws <see cref="IOException"/>.</summary>
    public static void Write<T>(string path, T message)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        JsonSerializer.Serialize(file, message, s_json);
    }

    /// <summary>Null for what is no such message. Throws <see cref="IOException"/>.</summary>
    public static T? Read<T>(string path)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), s_json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>False when the other end is gone.</summary>
    public static bool Send<T>(Socket socket, T message)
    {
        try
        {
            byte[] packet = JsonSerializer.SerializeToUtf8Bytes(message, s_json);
            return socket.Send(packet) == packet.Length;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>False at the end of the connection; null for what is no such message.</summary>
    public static bool Receive<T>(Socket socket, out T? message)
        where T : class
    {
        message = null;
        byte[] packet = new byte[BytesMax];
        try
        {
            int length = socket.Receive(packet);
            message = length == 0 ? null : JsonSerializer.Deserialize<T>(packet.AsSpan(0, length), s_json);
            return length > 0;
        }
        catch (JsonException)
        {
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
