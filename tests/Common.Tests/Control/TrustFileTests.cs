using Hecatonchire.Control.Keys;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>What a person who writes a trust file, or has a key file, is told.</summary>
public sealed class TrustFileTests : IDisposable
{
    private const string Key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    private const string Other = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    private const string Secret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-trust-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_is_written_is_read_again_and_comments_stay()
    {
        string path = Write("# mine\n\n  alice " + Key + "   quota=8GiB share=4 expires=2027-01-31\n");
        TrustFile file = TrustFile.Read(path);
        var expected = new TrustEntry("alice", Key) { Quota = ByteSize.Parse("8GiB"), Share = 4, Expires = new DateOnly(2027, 1, 31) };
        Assert.Equal(expected, Assert.Single(file.Entries));
        Assert.Equal(expected, file[Key]);
        Assert.Null(file[Other]);
        file.Set(new TrustEntry("bob", Other) { Quota = new ByteSize((1L << 30) + 4097) });
        file.Set(expected with { Revoked = new DateOnly(2026, 11, 26) });
        file.Write(path);
        TrustFile again = TrustFile.Read(path);
        Assert.Equal(file.Entries, again.Entries);
        Assert.Equal((1L << 30) + 4097, again[Other]!.Quota!.Value.Bytes);
        Assert.StartsWith("# mine\n\nalice ", File.ReadAllText(path), StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_is_trusted_until_the_day_that_it_expires_on()
    {
        TrustEntry entry = new("alice", Key) { Expires = new DateOnly(2027, 1, 31) };
        Assert.Null(entry.Distrust(new DateTimeOffset(2027, 1, 30, 23, 59, 59, TimeSpan.Zero)));
        Assert.Equal("the key of 'alice' has expired on 2027-01-31", entry.Distrust(new DateTimeOffset(2027, 1, 31, 0, 0, 0, TimeSpan.Zero)));
        Assert.Equal("the key of 'alice' was revoked on 2026-11-26", (entry with { Revoked = new DateOnly(2026, 11, 26) }).Distrust(DateTimeOffset.UnixEpoch));
    }

    [Theory]
    [InlineData("alice", "after 'alice' comes no public key (40 characters of Z85)")]
    [InlineData("alice rq:rM", "after 'alice' comes no public key (40 characters of Z85)")]
    [InlineData("al/ice " + Key, "'al/ice' is no name (letters, digits and ._-:)")]
    [InlineData("alice " + Key + " quota=much", "quota=much: write a size, such as 8GiB")]
    [InlineData("alice " + Key + " share=0", "share=0: write a whole number from 1 to 100")]
    [InlineData("alice " + Key + " expires=31.1.2027", "expires=31.1.2027: write a day as 2027-12-31")]
    [InlineData("alice " + Key + " share=1 share=2", "'share' is given twice")]
    [InlineData("alice " + Key + " bandwidth=2", "'bandwidth=2' is none of quota=SIZE, share=N, expires=YYYY-MM-DD, revoked=YYYY-MM-DD")]
    [InlineData("alice " + Key + "\nbob " + Key, "the key of 'bob' is there twice", 3)]
    public void A_line_that_cannot_be_read_is_named(string text, string why, int line = 2)
    {
        string path = Write("# trust\n" + text + "\n");
        Assert.Equal($"{path}, line {line}: {why}", Assert.Throws<IOException>(() => TrustFile.Read(path)).Message);
    }

    [Fact]
    public void A_trust_file_that_others_can_write_is_refused()
    {
        string path = Write("");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite);
        Assert.Equal(
            $"the trust file {path} can be written by other users (mode 620): run chmod 644 {path}", Assert.Throws<IOException>(() => TrustFile.Read(path)).Message);
    }

    [Theory]
    [InlineData(Secret, 0b110_100_000, "the key PATH is open to other users (mode 640): run chmod 600 PATH")]
    [InlineData(Secret, 0b110_000_100, "the key PATH is open to other users (mode 604): run chmod 600 PATH")]
    [InlineData("D:)Q[IlAW!ahhC2ac:9*", 0b110_000_000, "PATH holds 20 characters of a CURVE secret key, which has 40: it was cut short; make one with heca key new")]
    [InlineData("", 0b110_000_000, "PATH holds no CURVE secret key: make one with heca key new")]
    [InlineData("this is forty characters, and no key ...", 0b110_000_000, "PATH holds no CURVE secret key: make one with heca key new")]
    public void A_secret_key_that_cannot_be_used_is_told_in_one_line(string text, int mode, string message)
    {
        string path = Write(text, (UnixFileMode)mode);
        Assert.Equal(message.Replace("PATH", path, StringComparison.Ordinal), Assert.Throws<IOException>(() => new DemanderKey(path).Load()).Message);
    }

    [Fact]
    public void A_key_file_that_is_not_there_is_told_in_one_line()
    {
        string path = Path.Combine(_directory, "none");
        Assert.Equal($"there is no key {path}: make one with heca key new, or give another with --key", Assert.Throws<IOException>(() => new DemanderKey(path).Load()).Message);
    }

    private string Write(string text, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        string path = Path.Combine(_directory, "file");
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, mode);
        return path;
    }
}
