using System.Runtime.CompilerServices;

namespace Hecatonchire.Transport.Tcp;

/// <summary>
/// Why a connection ended, for messages to people. The runtime makes a literal when it is first used: as fields they are all there before a
/// connection is, and its thread, which must not allocate, makes none.
/// </summary>
internal static class EndReason
{
    public static readonly string Closed = "the sponsor closed the connection";
    public static readonly string Gone = "the sponsor's end of the connection is gone";
    public static readonly string Silent = "the sponsor does not answer any more";
    public static readonly string Failed = "the socket failed";
    public static readonly string Unfit = "the sponsor's answer does not fit the request";
    public static readonly string Refused = "the sponsor refused a request";
    public static readonly string Unasked = "the sponsor sent something nobody asked for";

    public static void Prepare() => RuntimeHelpers.RunClassConstructor(typeof(EndReason).TypeHandle);
}
