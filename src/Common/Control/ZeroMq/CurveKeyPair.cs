using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Hecatonchire.Interop;

namespace Hecatonchire.Control.ZeroMq;

/// <summary>A CURVE key pair in Z85 text, 40 characters each.</summary>
internal sealed unsafe record CurveKeyPair(string PublicZ85, string SecretZ85)
{
    public const int Z85Length = 40;

    /// <summary>A key as it is on the wire.</summary>
    public const int KeyBytes = 32;

    private static readonly SearchValues<char> Z85Alphabet = SearchValues.Create(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#");

    /// <summary>A new pair. Throws <see cref="ZmqUnavailableException"/> without libzmq.</summary>
    public static CurveKeyPair Create()
    {
        ZmqContext.RequireLibrary();
        byte* publicKey = stackalloc byte[Z85Length + 1];
        byte* secretKey = stackalloc byte[Z85Length + 1];
        return LibZmq.MakeKeyPair(publicKey, secretKey) == 0
            ? new CurveKeyPair(Text(publicKey), Text(secretKey))
            : throw new ZmqException("make a CURVE key pair", Marshal.GetLastPInvokeError());
    }

    /// <summary>The pair that belongs to a secret key; null when the text is no key.</summary>
    public static CurveKeyPair? FromSecret(string secretZ85)
    {
        if (!IsKey(secretZ85))
        {
            return null;
        }

        ZmqContext.RequireLibrary();
        byte* publicKey = stackalloc byte[Z85Length + 1];
        fixed (byte* secret = Encoding.ASCII.GetBytes(secretZ85 + '\0'))
        {
            return LibZmq.DerivePublicKey(publicKey, secret) == 0 ? new CurveKeyPair(Text(publicKey), secretZ85) : null;
        }
    }

    /// <summary>True for 40 characters of the Z85 alphabet.</summary>
    public static bool IsKey(string? text) => text?.Length == Z85Length && !text.AsSpan().ContainsAnyExcept(Z85Alphabet);

    /// <summary>The text of a key of <see cref="KeyBytes"/> bytes.</summary>
    public static string Encode(ReadOnlySpan<byte> key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, KeyBytes);
        byte* text = stackalloc byte[Z85Length + 1];
        fixed (byte* bytes = key)
        {
            _ = LibZmq.EncodeZ85(text, bytes, KeyBytes);
        }

        return Text(text);
    }

    /// <summary>The secret stays out of logs.</summary>
    public override string ToString() => $"CURVE key {PublicZ85}";

    private static string Text(byte* z85) => Encoding.ASCII.GetString(z85, Z85Length);
}
