using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Sponsor.Control;
using Xunit;

namespace Hecatonchire.Tests.Control;

public sealed class SponsorKeysTests : IDisposable
{
    private readonly string _directory;

    public SponsorKeysTests()
    {
        Capability.RequireZmq();
        _directory = Directory.CreateTempSubdirectory("heca-keys-").FullName;
    }

    private string Keys => Path.Combine(_directory, "made", "here");

    private string Secret => Path.Combine(Keys, SponsorKeys.SecretFile);

    private string Public => Path.Combine(Keys, SponsorKeys.PublicFile);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_first_start_makes_a_pair_that_later_ones_keep()
    {
        CurveKeyPair made = SponsorKeys.LoadOrCreate(Keys);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Secret));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead, File.GetUnixFileMode(Public));
        Assert.Equal(made.PublicZ85, File.ReadAllText(Public).Trim());
        CurveKeyPair again = SponsorKeys.LoadOrCreate(Keys);
        Assert.Equal(made, again);
        Assert.Equal(SponsorKeys.SponsorId(made), SponsorKeys.SponsorId(again));
        Assert.Equal(2, Directory.GetFiles(Keys).Length);
    }

    [Fact]
    public void A_public_key_that_was_lost_or_is_another_is_put_right()
    {
        CurveKeyPair keys = SponsorKeys.LoadOrCreate(Keys);
        File.Delete(Public);
        Assert.Equal(keys, SponsorKeys.LoadOrCreate(Keys));
        Assert.Equal(keys.PublicZ85, File.ReadAllText(Public).Trim());
        File.WriteAllText(Public, CurveKeyPair.Create().PublicZ85);
        Assert.Equal(keys, SponsorKeys.LoadOrCreate(Keys));
        Assert.Equal(keys.PublicZ85, File.ReadAllText(Public).Trim());
    }

    [Fact]
    public void A_secret_that_others_can_read_is_refused()
    {
        SponsorKeys.LoadOrCreate(Keys);
        File.SetUnixFileMode(Secret, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        IOException failure = Assert.Throws<IOException>(() => SponsorKeys.LoadOrCreate(Keys));
        Assert.Contains("chmod 600", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_secret_that_is_none_is_refused_and_not_overwritten()
    {
        SponsorKeys.LoadOrCreate(Keys);
        File.WriteAllText(Secret, "nonsense");
        IOException failure = Assert.Throws<IOException>(() => SponsorKeys.LoadOrCreate(Keys));
        Assert.Contains(Secret, failure.Message, StringComparison.Ordinal);
        Assert.Equal("nonsense", File.ReadAllText(Secret));
    }

    [Fact]
    public void Sponsors_that_start_at_once_agree_on_one_pair()
    {
        CurveKeyPair[] pairs = new CurveKeyPair[8];
        Parallel.For(0, pairs.Length, i => pairs[i] = SponsorKeys.LoadOrCreate(Keys));
        Assert.Single(pairs.Distinct());
        Assert.Equal(2, Directory.GetFiles(Keys).Length);
    }
}
