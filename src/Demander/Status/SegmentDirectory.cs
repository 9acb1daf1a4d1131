using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using Hecatonchire.Pager;
using Hecatonchire.Service;

namespace Hecatonchire.Status;

/// <summary>Asks running pagers after their programs' segments, at sockets beside those for their status.</summary>
internal static class SegmentDirectory
{
    private const string Suffix = ".segments";

    /// <summary>One that is stopped is not waited for longer.</summary>
    private static readonly TimeSpan ListMax = TimeSpan.FromSeconds(30);

    /// <summary>Slots are got from sponsors, and what is in flight comes to rest.</summary>
    private static readonly TimeSpan ResizeMax = TimeSpan.FromSeconds(60);

    /// <summary>The path for a pager's socket; makes the directory. Throws <see cref="IOException"/>, <see cref="UnauthorizedAccessException"/>.</summary>
    public static string PathFor(int pager) => Path.ChangeExtension(StatusDirectory.PathFor(pager), Suffix);

    /// <summary>The segments of all programs of this user, and for root of every user, each with the socket at which its pager is asked.</summary>
    /// <param name="silent">How many pagers did not answer.</param>
    public static List<(string Socket, SegmentReport Segment)> List(out int silent)
    {
        silent = 0;
        var found = new List<(string, SegmentReport)>();
        foreach (string socket in StatusDirectory.Sockets("*" + Suffix).OrderBy(path => path.Length).ThenBy(path => path, StringComparer.Ordinal))
        {
            if (Ask(socket, new SegmentQuestion(), ListMax) is { Segments: { } segments })
            {
                found.AddRange(segments.Select(segment => (socket, segment)));
            }
            else
            {
                silent += File.Exists(socket) ? 1 : 0;
            }
        }

        return found;
    }

    /// <summary>Null when it is done, else why not, in one line.</summary>
    public static string? Resize(string socket, SegmentReport segment, long bytes, SegmentChange change)
    {
        var question = new SegmentQuestion { Resize = new SegmentResize { Id = segment.Id, Bytes = bytes, Change = change } };
        return Ask(socket, question, ResizeMax) is { } answer ? answer.Error
            : string.Create(CultureInfo.InvariantCulture, $"its pager does not answer within {ResizeMax.TotalSeconds:0} s, or has ended; `heca segment list` tells what became of it");
    }

    private static SegmentAnswer? Ask(string path, SegmentQuestion question, TimeSpan most)
    {
        // Before there is somebody who waits for it.
        byte[] asked = JsonSerializer.SerializeToUtf8Bytes(question, SegmentJson.Options);
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.ReceiveTimeout = (int)most.TotalMilliseconds;
            socket.Connect(new UnixDomainSocketEndPoint(path));
            _ = socket.Send(asked);
            socket.Shutdown(SocketShutdown.Send);
            using var answer = new MemoryStream();
            byte[] part = new byte[4096];
            for (int read = socket.Receive(part); read > 0; read = socket.Receive(part))
            {
                answer.Write(part, 0, read);
            }

            return SegmentJson.Parse<SegmentAnswer>(answer.GetBuffer().AsSpan(0, (int)answer.Length));
        }
        catch (SocketException e)
        {
            if (e.SocketErrorCode == SocketError.ConnectionRefused)
            {
                // Of a pager that was killed.
                StatusDirectory.TryDelete(path);
            }

            return null;
        }
    }
}
