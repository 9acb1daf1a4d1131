using System.Security.Cryptography;
using System.Text;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// The keys of a sponsor on disk: the pair, sponsor.secret for its owner only and sponsor.public for who wants to connect; and sponsor.admin, which whoever may
/// say what it offers has.
/// </summary>
internal static class SponsorKeys
{
    public const string SecretFile = "sponsor.secret";
    public const string PublicFile = "sponsor.public";
    public const string AdminFile = "sponsor.admin";

    private const string WriteRemedy = "give --keys a directory that this user may write";

    /// <summary>
    /// Reads the pair, or makes it at the first start. Throws <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> with one line where the directory or a file in it is not usable.
    /// </summary>
    public static CurveKeyPair LoadOrCreate(string directory)
    {
        try
        {
            Directory.CreateDirectory(directory, KeyFile.DirectoryMode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"cannot keep the key pair in {directory}: {e.Message.TrimEnd('.')}; {WriteRemedy}", e);
        }

        string secretPath = Path.Combine(directory, SecretFile);
        if (!File.Exists(secretPath))
        {
            KeyFile.Write(secretPath, CurveKeyPair.Create().SecretZ85, KeyFile.SecretMode, overwrite: false, WriteRemedy);
        }

        CurveKeyPair keys = KeyFile.ReadPair(secretPath, "remove it, and a new pair is made at the next start");

        // The public half follows from the secret one; a file that was lost or belongs to an older secret is put right.
        string publicPath = Path.Combine(directory, PublicFile);
        if (!File.Exists(publicPath) || File.ReadAllText(publicPath).Trim() != keys.PublicZ85)
        {
            KeyFile.Write(publicPath, keys.PublicZ85, KeyFile.PublicMode, overwrite: true, WriteRemedy);
        }

        return keys;
    }

    /// <summary>The admin key, made at the first start; after <see cref="LoadOrCreate"/> in the same directory. Throws as that does.</summary>
    public static byte[] LoadOrCreateAdmin(string directory)
    {
        string path = Path.Combine(directory, AdminFile);
        if (!File.Exists(path))
        {
            KeyFile.Write(
                path, RandomNumberGenerator.GetHexString(2 * ControlProtocol.AdminKeyBytes, lowercase: true), KeyFile.SecretMode, overwrite: false, WriteRemedy);
        }

        return AdminKey.Parse(KeyFile.ReadSecret(path))
            ?? throw new IOException($"{path} holds no admin key: remove it, and a new one is made at the next start");
    }

    /// <summary>The sponsor's id: as lasting as its key.</summary>
    public static Guid SponsorId(CurveKeyPair keys) => new(SHA256.HashData(Encoding.ASCII.GetBytes(keys.PublicZ85)).AsSpan(0, 16));
}
