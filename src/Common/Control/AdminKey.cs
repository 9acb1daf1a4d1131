using Hecatonchire.Control.Messages;

namespace Hecatonchire.Control;

/// <summary>What a sponsor's owner proves to be one with, as text: 64 hexadecimal digits.</summary>
internal static class AdminKey
{
    /// <summary>The <see cref="ControlProtocol.AdminKeyBytes"/> bytes; null for what is none.</summary>
    public static byte[]? Parse(string text)
    {
        ReadOnlySpan<char> digits = text.AsSpan().Trim();
        byte[] key = new byte[ControlProtocol.AdminKeyBytes];
        return digits.Length == 2 * key.Length && Convert.FromHexString(digits, key, out _, out _) == System.Buffers.OperationStatus.Done ? key : null;
    }
}
