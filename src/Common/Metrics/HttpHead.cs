using System.Text;

namespace Hecatonchire.Metrics;

/// <summary>The request line of an HTTP/1.x request: all that a metrics scrape is judged by.</summary>
internal readonly record struct HttpHead(string Method, string Path)
{
    /// <summary>Ample for a scraper's headers; a longer head is refused.</summary>
    public const int BytesMax = 8192;

    /// <summary>Where the head ends (after the empty line), or -1 while it is incomplete.</summary>
    public static int FindEnd(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf("\r\n\r\n"u8);
        return end < 0 ? -1 : end + 4;
    }

    /// <summary>Parses <c>METHOD SP TARGET SP HTTP/1.x</c>; false for anything else. The query part of the target is left out.</summary>
    public static bool TryParse(ReadOnlySpan<byte> head, out HttpHead request)
    {
        request = default;
        int lineEnd = head.IndexOf("\r\n"u8);
        if (lineEnd <= 0)
        {
            return false;
        }

        ReadOnlySpan<byte> line = head[..lineEnd];
        if (line.ContainsAnyExceptInRange((byte)' ', (byte)'~'))
        {
            return false;
        }

        string[] parts = Encoding.ASCII.GetString(line).Split(' ');
        if (parts.Length != 3 || parts[0].Length == 0 || !parts[0].All(char.IsAsciiLetterUpper)
            || !parts[1].StartsWith('/') || parts[2] is not ("HTTP/1.1" or "HTTP/1.0"))
        {
            return false;
        }

        int query = parts[1].IndexOf('?', StringComparison.Ordinal);
        request = new HttpHead(parts[0], query < 0 ? parts[1] : parts[1][..query]);
        return true;
    }
}
