using Hecatonchire.Control.ZeroMq;
using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>`heca key` as a person uses it.</summary>
public sealed class KeyCommandTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-key-").FullName;

    private string Secret => Path.Combine(_directory, "made", "demander.secret");

    private string Public => Path.ChangeExtension(Secret, ".public");

    private string Trust => Path.Combine(_directory, "sponsor.trust");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_key_is_made_shown_trusted_and_revoked()
    {
        string[] made = Done("key", "new", "--key", Secret);
        Assert.True(CurveKeyPair.IsKey(made[0]));
        Assert.Equal($"{Secret} has its secret half; on a sponsor: heca key trust NAME '{made[0]}'", made[1]);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Secret));
        Assert.Equal(made[0], File.ReadAllText(Public).Trim());
        Assert.Equal([made[0]], Done("key", "show", "--key", Secret));
        Assert.Contains("--replace puts another in its place", HecaProcess.RunToError(1, "key", "new", "--key", Secret), StringComparison.Ordinal);

        Assert.Equal(
            [$"{Trust}: alice {made[0]} quota=8GiB share=4 expires=2099-12-31; from its next start on its sponsor serves only the keys in this file"],
            Done("key", "trust", "alice", Public, "--quota", "8GiB", "--share", "4", "--expires", "2099-12-31", "--trust", Trust));
        string fresh = Done("key", "new", "--key", Secret, "--replace")[0];
        Assert.NotEqual(made[0], fresh);
        Assert.Equal([$"{Trust}: alice {fresh}"], Done("key", "trust", "alice", fresh, "--trust", Trust));
        Assert.Equal([$"{Trust}: 1 key of '{made[0]}' revoked"], Done("key", "revoke", made[0], "--trust", Trust));
        string[] shown = Done("key", "show", "--trust", Trust);
        Assert.Matches($"^alice +{System.Text.RegularExpressions.Regex.Escape(made[0])} +8GiB +4 +2099-12-31 +revoked 20", shown[1]);
        Assert.Matches($"^alice +{System.Text.RegularExpressions.Regex.Escape(fresh)} +- +1 +- +trusted", shown[2]);
        Assert.Equal([$"{Trust}: 1 key of 'alice' revoked"], Done("key", "revoke", "alice", "--trust", Trust));
        Assert.EndsWith($"{Trust} trusts no key 'alice'", HecaProcess.RunToError(1, "key", "revoke", "alice", "--trust", Trust), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_key_is_told_in_one_line()
    {
        string file = Path.Combine(_directory, "short.public");
        File.WriteAllText(file, "rq:rM>}U?@Lns47E1%kR\n");
        Assert.EndsWith(
            $"{file} holds no public key: it has 20 characters, and a key has 40 of Z85", HecaProcess.RunToError(2, "key", "trust", "alice", file, "--trust", Trust), StringComparison.Ordinal);
        Assert.EndsWith(
            "'nonsense' is neither a public key (40 characters of Z85; this has 8) nor a file that can be read",
            HecaProcess.RunToError(2, "key", "trust", "alice", "nonsense", "--trust", Trust), StringComparison.Ordinal);
        Assert.False(File.Exists(Trust));
    }

    [Fact]
    public void A_run_with_a_key_that_cannot_be_used_ends_before_its_program_starts()
    {
        string[] run = ["run", "--sponsor", "127.0.0.1:1", "--sponsor-key", new('0', 40), "--key"];
        Assert.EndsWith($"--key: there is no key {Secret}: make one with heca key new, or give another with --key", HecaProcess.RunToError(1, [.. run, Secret, "--", "true"]), StringComparison.Ordinal);
        Done("key", "new", "--key", Secret);
        File.SetUnixFileMode(Secret, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Assert.EndsWith(
            $"--key: the key {Secret} is open to other users (mode 640): run chmod 600 {Secret}", HecaProcess.RunToError(1, [.. run, Secret, "--", "true"]), StringComparison.Ordinal);
    }

    private static string[] Done(params string[] arguments)
    {
        (int status, string output, string error) = HecaProcess.Run(new Dictionary<string, string?>(), arguments);
        Assert.True(status == 0, error);
        Assert.Empty(error);
        return output.TrimEnd('\n').Split('\n');
    }
}
