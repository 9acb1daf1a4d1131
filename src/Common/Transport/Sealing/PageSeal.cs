using System.Buffers.Binary;
using System.Security.Cryptography;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Sealing;

/// <summary>
/// AES-256-GCM over single pages (NIST SP 800-38D). The nonce says which slab, slot and version it is, and none of these triples ever comes twice under a key: a page that was put in
/// another's place, or an old one put back, does not open either. Allocates nothing, unless a page does not open. Used by one thread.
/// </summary>
internal sealed unsafe class PageSeal(ReadOnlySpan<byte> key) : IDisposable
{
    public const int TagBytes = 16;

    /// <summary>Bits of a version; the slot has the other 18 of a word, as many as the largest slab has slots.</summary>
    public const int VersionBits = 46;

    private readonly AesGcm _cipher = new(key, TagBytes);

    /// <summary>Seals a page, and says what it takes to open it.</summary>
    public void Seal(uint slab, uint slot, ulong version, byte* page, byte* sealedPage, byte* tag)
    {
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, slab, slot, version);
        _cipher.Encrypt(nonce, new ReadOnlySpan<byte>(page, PageSize.Bytes), new Span<byte>(sealedPage, PageSize.Bytes), new Span<byte>(tag, TagBytes));
    }

    /// <summary>False when it is not, to the bit, what was sealed; the page is then zeros.</summary>
    public bool TryOpen(uint slab, uint slot, ulong version, byte* sealedPage, byte* tag, byte* page)
    {
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, slab, slot, version);
        try
        {
            _cipher.Decrypt(nonce, new ReadOnlySpan<byte>(sealedPage, PageSize.Bytes), new ReadOnlySpan<byte>(tag, TagBytes), new Span<byte>(page, PageSize.Bytes));
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    public void Dispose() => _cipher.Dispose();

    private static void WriteNonce(Span<byte> nonce, uint slab, uint slot, ulong version)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(nonce, slab);
        BinaryPrimitives.WriteUInt64LittleEndian(nonce[4..], ((ulong)slot << VersionBits) | version);
    }
}
