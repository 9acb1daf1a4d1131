using System.Text;
using Hecatonchire.Control;
using Hecatonchire.Membership;
using Xunit;

namespace Hecatonchire.Tests.Membership;

/// <summary>What is in etcd, and what anybody else may have put there.</summary>
public sealed class RecordTests
{
    private const string Key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    private const string Good = """
        {"v":1,"id":"00112233445566778899aabbccddeeff","instance":"ffeeddccbbaa99887766554433221100","addresses":["10.0.0.2","sponsor.example"],"port":7400,
        "public_key":"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7","offered_bytes":8,"lent_bytes":4,"pages_per_second":2,"labels":{"rack":"a","host":"h1"},"later":[{}]}
        """;

    [Fact]
    public void A_sponsor_survives_etcd()
    {
        SponsorRecord record = Sponsor();
        SponsorRecord? read = SponsorRecord.Parse(record.Encode(), out string problem);
        Assert.Equal("", problem);
        Assert.NotNull(read);
        Assert.Equal(record.Encode(), read.Encode());
        Assert.Equal($"sponsors/{record.Instance:N}", read.Key);
    }

    [Fact]
    public void What_a_later_version_adds_is_ignored()
    {
        SponsorRecord? read = Parse(Good);
        Assert.NotNull(read);
        Assert.Equal(("10.0.0.2", 7400, "a"), (read.Addresses[0], read.Port, read.Labels["rack"]));
    }

    [Theory]
    [InlineData("\"v\":1", "\"v\":2", "another version")]
    [InlineData("\"v\":1,", "", "another version")]
    [InlineData("00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeef", "'id'")]
    [InlineData("00112233445566778899aabbccddeeff", "00000000000000000000000000000000", "'id'")]
    [InlineData("\"ffeeddccbbaa99887766554433221100\"", "7", "'instance'")]
    [InlineData("[\"10.0.0.2\",\"sponsor.example\"]", "[]", "'addresses'")]
    [InlineData("\"10.0.0.2\"", "\"a b\"", "'addresses'")]
    [InlineData("\"10.0.0.2\"", "null", "'addresses'")]
    [InlineData("7400", "0", "'port'")]
    [InlineData("7400", "65536", "'port'")]
    [InlineData("7400", "\"7400\"", "'port'")]
    [InlineData("7400", "1e999", "'port'")]
    [InlineData("rq:rM", "rq:r", "'public_key'")]
    [InlineData("\"offered_bytes\":8", "\"offered_bytes\":-8", "'offered_bytes'")]
    [InlineData("\"lent_bytes\":4", "\"lent_bytes\":99999999999999999999", "'lent_bytes'")]
    [InlineData("\"rack\":\"a\"", "\"rack\":\"a b\"", "'labels'")]
    [InlineData("\"rack\":\"a\"", "\"rack\":\"\\ud800\"", "'labels'")]
    [InlineData("\"rack\":\"a\"", "\"host\":\"a\"", "'labels'")]
    [InlineData("{\"rack\":\"a\",\"host\":\"h1\"}", "[]", "'labels'")]
    [InlineData("[{}]", "[[[[[{}]]]]]", "no JSON")]
    [InlineData("}", "", "no JSON")]
    public void A_sponsor_that_is_none_is_told_in_one_line(string good, string bad, string expected)
    {
        Assert.Contains(good, Good, StringComparison.Ordinal);
        Assert.Null(SponsorRecord.Parse(Encoding.UTF8.GetBytes(Good.Replace(good, bad, StringComparison.Ordinal)), out string problem));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"v\"")]
    [InlineData("\0\0")]
    [InlineData("{\"v\":1}")]
    public void What_is_no_object_at_all_is_told_too(string text)
    {
        Assert.Null(SponsorRecord.Parse(Encoding.UTF8.GetBytes(text), out string problem));
        Assert.NotEqual("", problem);
        Assert.Null(DemanderRecord.Parse(Encoding.UTF8.GetBytes(text), out problem));
        Assert.NotEqual("", problem);
    }

    [Fact]
    public void A_value_of_any_length_is_judged_before_it_is_read()
    {
        Assert.Null(SponsorRecord.Parse(new byte[1 << 20], out string problem));
        Assert.Contains("is the most", problem, StringComparison.Ordinal);
    }

    /// <summary>50,000 of them; a failure names its seed.</summary>
    [Fact]
    public void Bytes_that_were_changed_are_judged_without_an_exception()
    {
        byte[][] good = [Encoding.UTF8.GetBytes(Good), Sponsor().Encode(), new DemanderRecord { Owner = Guid.NewGuid(), Name = "x-1", Lease = TimeSpan.FromSeconds(10) }.Encode()];
        for (int seed = 0; seed < 50_000; seed++)
        {
            var random = new Random(seed);
            byte[] bytes = [.. good[seed % good.Length]];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            ReadOnlyMemory<byte> value = bytes.AsMemory(0, random.Next(4) == 0 ? random.Next(bytes.Length) : bytes.Length);
            try
            {
                bool isSponsor = SponsorRecord.Parse(value, out string problem) is not null;
                Assert.Equal(isSponsor, problem.Length == 0);
                bool isDemander = DemanderRecord.Parse(value, out problem) is not null;
                Assert.Equal(isDemander, problem.Length == 0);
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {e}");
            }
        }
    }

    [Fact]
    public void A_demander_survives_etcd_and_its_id_is_not_there()
    {
        var id = Guid.NewGuid();
        var record = new DemanderRecord { Owner = DemanderRecord.OwnerOf(id), Name = "host-1", Lease = TimeSpan.FromSeconds(40) };
        Assert.Equal(record, DemanderRecord.Parse(record.Encode(), out _));
        Assert.DoesNotContain(id.ToString("N"), record.Key + Encoding.UTF8.GetString(record.Encode()), StringComparison.OrdinalIgnoreCase);
        Assert.NotEqual(record.Owner, DemanderRecord.OwnerOf(Guid.NewGuid()));
    }

    [Theory]
    [InlineData("http://10.0.0.9:2379", "http://10.0.0.9:2379", "/heca")]
    [InlineData("http://etcd", "http://etcd:2379", "/heca")]
    [InlineData("http://etcd:80/", "http://etcd", "/heca")]
    [InlineData("https://[::1]:4001/team/a/", "https://[::1]:4001", "/team/a")]
    [InlineData("http://a:1/x,http://b:2/x", "http://a:1, http://b:2", "/x")]
    public void An_etcd_is_named_by_the_URLs_of_its_members(string urls, string names, string prefix)
    {
        EtcdAddress? address = EtcdAddress.From(urls.Split(','), out string problem);
        Assert.Equal(("", names, prefix), (problem, address?.Names, address?.Prefix));
    }

    [Theory]
    [InlineData("10.0.0.9:2379")]
    [InlineData("etcd")]
    [InlineData("")]
    [InlineData("ftp://etcd:1")]
    [InlineData("http://user:secret@etcd:1")]
    [InlineData("http://etcd:1?x=y")]
    [InlineData("http://etcd:99999")]
    [InlineData("http://a:1/x,http://b:2/y")]
    public void What_is_no_URL_of_etcd_is_told(string urls)
    {
        Assert.Null(EtcdAddress.From(urls.Split(','), out string problem));
        Assert.NotEqual("", problem);
    }

    [Fact]
    public void Of_a_sponsor_that_was_started_again_the_newer_record_counts()
    {
        var told = new List<string>();
        var directory = new SponsorDirectory(told.Add);
        SponsorRecord old = Sponsor(), anew = old with { Instance = Guid.NewGuid(), OfferedBytes = 9 }, other = Sponsor() with { Port = 7410 };
        directory.Reset([Entry(anew, 8), Entry(old, 5), Entry(other, 6)]);
        Assert.True(directory.IsLive);
        Assert.Equal([anew.Instance, other.Instance], directory.Sponsors.OrderBy(sponsor => sponsor.Port).Select(sponsor => sponsor.Instance));
        directory.Delete(anew.Key);
        Assert.Equal(old.Instance, directory.Sponsors.Single(sponsor => sponsor.Port == old.Port).Instance);
        Assert.Empty(told);
    }

    [Fact]
    public void Sponsors_stay_known_while_etcd_cannot_be_seen_and_malformed_keys_are_told_once_each()
    {
        var told = new List<string>();
        var directory = new SponsorDirectory(told.Add);
        SponsorRecord sponsor = Sponsor();
        directory.Reset([Entry(sponsor, 1), new EtcdEntry("sponsors/x", "{"u8.ToArray(), 0, 2), Entry(sponsor, 3) with { Key = "sponsors/another" }]);
        directory.Lose();
        Assert.False(directory.IsLive);
        Assert.Equal(sponsor.Instance, Assert.Single(directory.Sponsors).Instance);
        Assert.Equal(2, told.Count);
        Assert.All(told, line => Assert.Matches("^etcd's key sponsors/(x|another) is ignored: ", line));
        directory.Reset([]);
        Assert.Empty(directory.Sponsors);
    }

    [Theory]
    [InlineData("rack=a", "rack=a")]
    [InlineData("zone=1,rack=a.b_c-d:e", "rack=a.b_c-d:e, zone=1")]
    public void Labels_are_names_with_values(string pairs, string expected) => Assert.Equal(expected, Labels.From(pairs.Split(','), out _)?.ToString());

    [Theory]
    [InlineData("rack", "must be NAME=VALUE")]
    [InlineData("rack=", "must be NAME=VALUE")]
    [InlineData("=a", "must be NAME=VALUE")]
    [InlineData("rack=a b", "must be NAME=VALUE")]
    [InlineData("rack=a=b", "must be NAME=VALUE")]
    [InlineData("räck=a", "must be NAME=VALUE")]
    [InlineData("rack=a,rack=b", "'rack' is given twice")]
    [InlineData("a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1", "16 is the most")]
    public void What_is_no_label_is_told(string pairs, string expected)
    {
        Assert.Null(Labels.From(pairs.Split(','), out string problem));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void The_host_is_this_machine_unless_it_is_said()
    {
        string? host = Labels.None.WithHost()[Labels.Host];
        Assert.Matches("^[0-9a-f]{12}$", host!);
        Assert.Equal(host, Labels.From(["rack=a"], out _)!.WithHost()[Labels.Host]);
        Assert.Equal("b1", Labels.From(["host=b1"], out _)!.WithHost()[Labels.Host]);
    }

    private static EtcdEntry Entry(SponsorRecord record, long revision) => new(record.Key, record.Encode(), 1, revision);

    private static SponsorRecord? Parse(string text) => SponsorRecord.Parse(Encoding.UTF8.GetBytes(text), out _);

    private static SponsorRecord Sponsor() => new()
    {
        Id = Guid.NewGuid(),
        Instance = Guid.NewGuid(),
        Addresses = ["10.0.0.2"],
        Port = 7400,
        PublicKey = Key,
        OfferedBytes = 8L << 30,
        LentBytes = 1L << 30,
        Load = 4096,
        Labels = Labels.From(["rack=a", "host=b"], out _)!,
    };
}
