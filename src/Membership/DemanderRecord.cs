using System.Security.Cryptography;
using System.Text.Json;
using Hecatonchire.Units;

namespace Hecatonchire.Membership;

/// <summary>
/// A demander in etcd: a JSON object under <c>demanders/OWNER</c>. Its id is what slabs are had with, so it is told to sponsors only; what is in etcd is made of it and does not
/// tell it.
/// </summary>
internal sealed record DemanderRecord
{
    public const string Prefix = "demanders/";

    private const int LeaseSecondsMax = 2 * 86_400;
    private const int NameMax = 128;

    public required Guid Owner { get; init; }

    /// <summary>The host and the process, for people.</summary>
    public required string Name { get; init; }

    /// <summary>How long the record outlives the demander, and what it has on sponsors with it.</summary>
    public required TimeSpan Lease { get; init; }

    public string Key => KeyOf(Owner);

    public static string KeyOf(Guid owner) => $"{Prefix}{owner:N}";

    /// <summary>What a demander is called where its id must not be told.</summary>
    public static Guid OwnerOf(Guid demander)
    {
        Span<byte> text = stackalloc byte[8 + WireId.Length], hash = stackalloc byte[SHA256.HashSizeInBytes];
        "demander"u8.CopyTo(text);
        WireId.ToBytes(demander).CopyTo(text[8..]);
        _ = SHA256.HashData(text, hash);
        return WireId.Read(hash);
    }

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
    {
        ["v"] = RecordReader.Version,
        ["owner"] = Owner.ToString("N"),
        ["name"] = Name,
        ["lease_seconds"] = (long)Math.Ceiling(Lease.TotalSeconds),
    });

    /// <summary>Anybody may have written it. Null, with the reason in one line, where it is no such record.</summary>
    public static DemanderRecord? Parse(ReadOnlyMemory<byte> value, out string problem)
    {
        using RecordReader? reader = RecordReader.TryOpen(value, out problem);
        if (reader is not null
            && reader.TryGetId("owner", out Guid owner)
            && reader.TryGetString("name", static text => text.Length <= NameMax, out string name)
            && reader.TryGetNumber("lease_seconds", 1, LeaseSecondsMax, out long seconds))
        {
            return new DemanderRecord { Owner = owner, Name = name, Lease = TimeSpan.FromSeconds(seconds) };
        }

        problem = reader?.Problem ?? problem;
        return null;
    }
}
