using System.Net;
using System.Text;

namespace Hecatonchire.Metrics;

/// <summary>The request line of an HTTP/1.x request, and whom it is meant for: all that a request is judged by.</summary>
/// <param name="Method">GET, for example.</param>
/// <param name="Path">Of the target, without its query.</param>
/// <param name="Host">The header of that name; null: there is none.</param>
internal readonly record struct HttpHead(string Method, string Path, string? Host)
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
        request = new HttpHead(parts[0], query < 0 ? parts[1] : parts[1][..query], FindHost(head[(lineEnd + 2)..]));
        return true;
    }

    /// <summary>
    /// False where the request is meant for a name that is not this host's: a page from anywhere has its own name resolve to this host's loopback address, and a browser
    /// here ask for it. An address, or no name at all, is no such trick.
    /// </summary>
    public bool IsForThisHost
    {
        get
        {
            string name = Host is null ? "" : Host[(Host.LastIndexOf('@') + 1)..];
            int end = name.StartsWith('[') ? name.IndexOf(']', StringComparison.Ordinal) + 1 : name.LastIndexOf(':');
            name = end <= 0 ? name : name[..end];
            return name.Length == 0 || IPAddress.TryParse(name, out _) || Is(name, "localhost") || Is(name, Environment.MachineName)
                || name.StartsWith(Environment.MachineName + ".", StringComparison.OrdinalIgnoreCase);
        }
    }

    private static bool Is(string name, string known) => name.Equals(known, StringComparison.OrdinalIgnoreCase);

    private static string? FindHost(ReadOnlySpan<byte> headers)
    {
        const string Name = "host:";
        foreach (Range line in headers.Split("\r\n"u8))
        {
            if (headers[line].Length >= Name.Length && Ascii.EqualsIgnoreCase(headers[line][..Name.Length], Name))
            {
                return Encoding.ASCII.GetString(headers[line][Name.Length..]).Trim();
            }
        }

        return null;
    }
}
