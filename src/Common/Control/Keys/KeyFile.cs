using System.Text;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Interop;

namespace Hecatonchire.Control.Keys;

/// <summary>Files that hold keys: one line of text. A secret one is its owner's alone, and is refused where others can read it.</summary>
internal static class KeyFile
{
    public const UnixFileMode SecretMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    public const UnixFileMode PublicMode = SecretMode | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    public const UnixFileMode DirectoryMode = PublicMode | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private const UnixFileMode OthersMode = (UnixFileMode)0b111_111;

    /// <summary>A key has 40 or 64 characters; what is longer than this is another file.</summary>
    private const int BytesMax = 4096;

    /// <summary>The pair whose secret half is in a file. Throws <see cref="IOException"/> with one line where it is not there, is open to others or holds no key.</summary>
    public static CurveKeyPair ReadPair(string path, string remedy)
    {
        string text = ReadSecret(path);
        return CurveKeyPair.FromSecret(text) ?? throw new IOException(
            text.Length is > 0 and < CurveKeyPair.Z85Length
                ? $"{path} holds {text.Length} characters of a CURVE secret key, which has {CurveKeyPair.Z85Length}: it was cut short; {remedy}"
                : $"{path} holds no CURVE secret key: {remedy}");
    }

    /// <summary>The text of a file that nobody else can read. Throws as <see cref="ReadPair"/>.</summary>
    public static string ReadSecret(string path)
    {
        try
        {
            UnixFileMode mode = File.GetUnixFileMode(path);
            if ((mode & OthersMode) != 0)
            {
                throw new IOException($"the key {path} is open to other users (mode {Convert.ToString((int)mode, 8)}): run chmod 600 {path}");
            }

            return new FileInfo(path).Length <= BytesMax ? File.ReadAllText(path).Trim() : "";
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"the key {path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }

    /// <summary>
    /// Beside its place and renamed into it: nobody ever reads half a key, nor a secret before its mode is set. Without <paramref name="overwrite"/> a file that is
    /// there already stays, also one that was made at the same moment. Throws <see cref="IOException"/>.
    /// </summary>
    public static void Write(string path, string text, UnixFileMode mode, bool overwrite, string remedy)
    {
        string beside = $"{path}.{Path.GetRandomFileName()}";
        try
        {
            using (FileStream stream = new(
                beside,
                new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
            {
                stream.Write(Encoding.UTF8.GetBytes(text + "\n"));
                stream.Flush(flushToDisk: true);
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
            throw new IOException($"cannot write {path}: {e.Message.TrimEnd('.')}; {remedy}", e);
        }
        finally
        {
            File.Delete(beside);
        }
    }
}
