using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Hecatonchire.Metrics;

/// <summary>The value of `--metrics`: <c>HOST:PORT</c>, <c>[::1]:PORT</c>, or a port alone, which means loopback.</summary>
internal static class ListenAddress
{
    /// <summary>Says in <paramref name="error"/> what is wrong with the text, else gives where to listen. Port 0: any free one.</summary>
    public static bool TryParse(string text, out IPEndPoint endPoint, out string error)
    {
        endPoint = new IPEndPoint(IPAddress.Loopback, 0);
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon];
        if (!ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
        {
            error = $"'{text}' is not HOST:PORT or PORT with a port from 0 to 65535";
            return false;
        }

        error = "";
        if (host.Length == 0)
        {
            endPoint = new IPEndPoint(IPAddress.Loopback, port);
            return true;
        }

        if (host.StartsWith('[') && host.EndsWith(']'))
        {
            host = host[1..^1];
        }
        else if (host.Contains(':', StringComparison.Ordinal))
        {
            error = $"'{text}': write an IPv6 address in brackets, as in [::1]:{port}";
            return false;
        }

        if (!IPAddress.TryParse(host, out IPAddress? address) && !TryResolve(host, out address))
        {
            error = $"'{host}' is neither an address nor a host name that resolves";
            return false;
        }

        endPoint = new IPEndPoint(address!, port);
        return true;
    }

    private static bool TryResolve(string host, out IPAddress? address)
    {
        address = null;
        try
        {
            IPAddress[] all = Dns.GetHostAddresses(host);
            address = all.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork) ?? all.FirstOrDefault();
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
        }

        return address is not null;
    }
}
