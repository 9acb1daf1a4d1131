namespace Hecatonchire.Control.Messages;

/// <summary>The constants of docs/protocol.md, control plane.</summary>
internal static class ControlProtocol
{
    public const int Version = 1;
    public const int TokenBytes = 32;

    /// <summary>What a sponsor's owner proves to be one with; in its file sponsor.admin.</summary>
    public const int AdminKeyBytes = 32;

    /// <summary>Bytes of UTF-8 in a demander's name.</summary>
    public const int NameBytesMax = 128;

    /// <summary>So that the answer to `list` fits a frame: each takes at most 30 bytes there.</summary>
    public const int SlabsPerDemanderMax = 2048;

    public const int MessageBytesMax = ZeroMq.ZmqSocket.FrameBytesMax;
}

/// <summary>The `code` of an error answer.</summary>
internal static class ErrorCode
{
    public const string BadRequest = "bad_request";
    public const string UnknownType = "unknown_type";
    public const string Version = "version";
    public const string HelloFirst = "hello_first";
    public const string Full = "full";
    public const string NoSuchSlab = "no_such_slab";
    public const string Stopping = "stopping";

    /// <summary>Takes the admin key of this sponsor, or the connection is an observer's.</summary>
    public const string NotAllowed = "not_allowed";

    /// <summary>The sponsor has a trust file, and the key of this connection is not in it, has expired or was revoked.</summary>
    public const string NotTrusted = "not_trusted";

    /// <summary>The sponsor may have room, but not for whoever has this key.</summary>
    public const string Quota = "quota";

    /// <summary>The last connection in that protection domain has closed, or it never was this demander's.</summary>
    public const string NoSuchDomain = "no_such_domain";

    /// <summary>A slab cannot be opened to RDMA.</summary>
    public const string Rdma = "rdma";
}
