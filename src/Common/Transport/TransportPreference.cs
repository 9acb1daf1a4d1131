namespace Hecatonchire.Transport;

/// <summary>What --transport asks for.</summary>
internal enum TransportPreference
{
    /// <summary>RDMA where both ends have a device and the connection comes about, TCP otherwise.</summary>
    Auto,

    /// <summary>RDMA or nothing.</summary>
    Rdma,

    /// <summary>TCP; RDMA is not even looked for.</summary>
    Tcp,
}

internal static class TransportPreferences
{
    public const string All = "auto, rdma or tcp";

    public static string Name(this TransportPreference preference) => preference switch
    {
        TransportPreference.Rdma => "rdma",
        TransportPreference.Tcp => "tcp",
        _ => "auto",
    };

    public static bool TryParse(string? text, out TransportPreference preference)
    {
        (bool known, preference) = text switch
        {
            "auto" => (true, TransportPreference.Auto),
            "rdma" => (true, TransportPreference.Rdma),
            "tcp" => (true, TransportPreference.Tcp),
            _ => (false, default),
        };
        return known;
    }
}
