using System.Security.Cryptography;
using System.Text;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Interop;

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

    private const UnixFileMode SecretMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode PublicMode = SecretMode | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private const UnixFileMode OthersMode = (UnixFileMode)0b111_111;
    private const UnixFileMode DirectoryMode = PublicMode | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    /// <summary>
    /// Reads the pair, or makes it at the first start. Throws <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> with one line where the directory or a file in it is not usable.
    /// </summary>
    public static CurveKeyPair LoadOrCreate(string directory)
    {
        try
        {
            Directory.CreateDirectory(directory, DirectoryMode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"cannot keep the key pair in {directory}: {e.Message.TrimEnd('.')}; give --keys a directory that this user may write", e);
        }

        string secretPath = Path.Combine(directory, SecretFile);
        if (!File.Exists(secretPath))
        {
            WriteNew(secretPath, CurveKeyPair.Create().SecretZ85, SecretMode, overwrite: false);
        }

        RequireClosed(secretPath);
        CurveKeyPair keys = CurveKeyPair.FromSecret(File.ReadAllText(secretPath).Trim())
            ?? throw new IOException($"{secretPath} holds no CURVE secret key: remove it, and a new pair is made at the next start");

        // The public half follows from the secret one; a file that was lost or belongs to an older secret is put right.
        string publicPath = Path.Combine(directory, PublicFile);
        if (!File.Exists(publicPath) || File.ReadAllText(publicPath).Trim() != keys.PublicZ85)
        {
            WriteNew(publicPath, keys.PublicZ85, PublicMode, overwrite: true);
        }

        return keys;
    }

    /// <summary>The admin key, made at the first start; after <see cref="LoadOrCreate"/> in the same directory. Throws as that does.</summary>
    public static byte[] LoadOrCreateAdmin(string directory)
    {
        string path = Path.Combine(directory, AdminFile);
        if (!File.Exists(path))
        {
            WriteNew(path, RandomNumberGenerator.GetHexString(2 * ControlProtocol.AdminKeyBytes, lowercase: true), SecretMode, overwrite: false);
        }

        RequireClosed(path);
        return AdminKey.Parse(File.ReadAllText(path))
            ?? throw new IOException($"{path} holds no admin key: remove it, and a new one is made at the next start");
    }

    /// <summary>The sponsor's id: as lasting as its key.</summary>
    public static Guid SponsorId(CurveKeyPair keys) => new(SHA256.HashData(Encoding.ASCII.GetBytes(keys.PublicZ85)).AsSpan(0, 16));

    private static void RequireClosed(string path)
    {
        UnixFileMode mode = File.GetUnixFileMode(path);
        if ((mode & OthersMode) != 0)
        {
            throw new IOException($"the key {path} is open to other users (mode {Convert.ToString((int)mode, 8)}): run chmod 600 {path}");
        }
    }

    // Beside its place and renamed into it: nobody ever reads half a key, nor a secret before its mode is set. Of two sponsors
    // that make the first secret at once, the first one's stays.
    private static void WriteNew(string path, string text, UnixFileMode mode, bool overwrite)
    {
        string beside = $"{path}.{Path.GetRandomFileName()}";
        try
        {
            using (FileStream stream = new(
                beside,
                new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
            {
                stream.Write(Encoding.ASCII.GetBytes(text + "\n"));
            }

            // The mode at creation is subject to the umask.
            File.SetUnixFileMode(beside, mode);
            if (overwrite)
            {
                File.Move(beside, path, overwrite: true);
            }
            else if (Libc.Link(beside, path) != 0 && !File.Exists(path))
            {
                // File.Move looks whether there is one, and then renames: another may come in between.
                throw new IOException($"cannot write {path}: {Errno.Describe(Libc.Errno)}");
            }
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"cannot write {path}: {e.Message.TrimEnd('.')}; give --keys a directory that this user may write", e);
        }
        finally
        {
            File.Delete(beside);
        }
    }
}
