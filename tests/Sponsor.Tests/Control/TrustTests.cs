using System.Net;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>A sponsor that serves only the keys in its trust file, over both planes.</summary>
public sealed unsafe class TrustTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-trust-").FullName;
    private readonly List<IDisposable> _open = [];
    private readonly ManualTime _time = new();

    public TrustTests() => Capability.RequireZmq();

    private string TrustPath => Path.Combine(_directory, "sponsor.trust");

    public void Dispose()
    {
        _open.ForEach(each => each.Dispose());
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Who_is_not_trusted_is_told_why_in_one_line_and_gets_nothing()
    {
        (string alice, CurveKeyPair good) = NewKey("alice");
        (string stranger, CurveKeyPair unknown) = NewKey("stranger");
        (string old, CurveKeyPair expired) = NewKey("old");
        (string lost, CurveKeyPair revoked) = NewKey("lost");
        SponsorUnderTest sponsor = Start(
            new TrustEntry("alice", good.PublicZ85), new TrustEntry("old", expired.PublicZ85) { Expires = new DateOnly(2020, 1, 2) },
            new TrustEntry("lost", revoked.PublicZ85) { Revoked = new DateOnly(2021, 3, 4) });
        string name = $"sponsor 127.0.0.1:{sponsor.Control.Port}";
        Assert.Equal(64 * SponsorUnderTest.MiB, Connect(sponsor, alice).AllocateSlab(64 * SponsorUnderTest.MiB).Bytes);

        AssertRefused(sponsor, stranger, $"{name} does not trust the key in {stranger}: the key is not in its trust file; its operator can, with heca key trust NAME '{unknown.PublicZ85}'");
        AssertRefused(sponsor, old, $"{name} does not trust the key in {old}: the key of 'old' has expired on 2020-01-02; its operator can, with heca key trust NAME '{expired.PublicZ85}'");
        AssertRefused(sponsor, lost, $"{name} does not trust the key in {lost}: the key of 'lost' was revoked on 2021-03-04; its operator can, with heca key trust NAME '{revoked.PublicZ85}'");
        AssertRefused(sponsor, null, $"{name} serves only keys that it trusts, and this demander has none of its own: make one with heca key new, and have the sponsor's operator trust it");
        Assert.Equal(1, sponsor.Store.DemanderCount);

        // Whatever a stranger sends: a request that would be malformed is no exception, nor is an observer.
        using RawClient raw = new(sponsor);
        Assert.Equal(ErrorCode.NotTrusted, Assert.IsType<ErrorAnswer>(raw.Ask(new HelloRequest(1, Guid.Empty, "observer"))).Code);
        Assert.Equal(ErrorCode.NotTrusted, Assert.IsType<ErrorAnswer>(raw.Ask(new AllocateRequest(2, 1))).Code);
        Assert.Equal(ErrorCode.NotTrusted, Assert.IsType<ErrorAnswer>(raw.Ask(new OfferRequest(3, 0, sponsor.AdminKey))).Code);
    }

    [Fact]
    public void Without_a_trust_file_any_key_or_none_is_served()
    {
        var sponsor = new SponsorUnderTest();
        _open.Add(sponsor);
        Assert.True(Connect(sponsor, NewKey("alice").Path).IsAlive);
        Assert.True(Connect(sponsor, null).IsAlive);
    }

    [Fact]
    public void The_keys_of_a_name_share_its_quota()
    {
        (string first, CurveKeyPair one) = NewKey("first");
        (string second, CurveKeyPair two) = NewKey("second");
        (string other, CurveKeyPair three) = NewKey("other");
        ByteSize quota = new(128 * SponsorUnderTest.MiB);
        SponsorUnderTest sponsor = Start(
            new TrustEntry("alice", one.PublicZ85) { Quota = quota }, new TrustEntry("alice", two.PublicZ85) { Quota = quota }, new TrustEntry("bob", three.PublicZ85));
        SponsorClient left = Connect(sponsor, first), right = Connect(sponsor, second);
        Assert.Equal(quota.Bytes, left.Hello.FreeBytes);
        ulong slab = left.AllocateSlab(64 * SponsorUnderTest.MiB).Slab;
        _ = right.AllocateSlab(64 * SponsorUnderTest.MiB);
        Assert.Equal(0, left.Stats().FreeBytes);
        SponsorException full = Assert.Throws<SponsorException>(() => right.AllocateSlab(64 * SponsorUnderTest.MiB));
        Assert.Equal(SponsorErrorCode.Full, full.Code);
        Assert.Equal(
            $"sponsor 127.0.0.1:{sponsor.Control.Port} lends no more to this demander's key: 64MiB asked, and 'alice' has 128MiB of 128MiB; have its operator raise the quota, or use another sponsor",
            full.Message);

        // It bounds nobody else, and what is given back can be had again.
        _ = Connect(sponsor, other).AllocateSlab(128 * SponsorUnderTest.MiB);
        left.FreeSlab(slab);
        _ = right.AllocateSlab(64 * SponsorUnderTest.MiB);

        // A smaller one is asked back, from each as much as he has.
        Trust(new TrustEntry("alice", one.PublicZ85) { Quota = new ByteSize(0) }, new TrustEntry("alice", two.PublicZ85) { Quota = new ByteSize(0) }, new TrustEntry("bob", three.PublicZ85));
        sponsor.Trust!.Ask();
        Eventually.True(() => right.Stats().ReclaimBytes == 128 * SponsorUnderTest.MiB, "asking back");
        Assert.Equal(0, left.Stats().ReclaimBytes);
    }

    [Fact]
    public void Revoking_a_key_ends_its_sessions_and_the_memory_follows_when_its_demander_counts_as_gone()
    {
        (string path, CurveKeyPair keys) = NewKey("alice");
        (string other, CurveKeyPair others) = NewKey("bob");
        SponsorUnderTest sponsor = Start(new TrustEntry("alice", keys.PublicZ85), new TrustEntry("bob", others.PublicZ85));
        SponsorClient client = Connect(sponsor, path), bystander = Connect(sponsor, other);
        ulong slab = client.AllocateSlab(64 * SponsorUnderTest.MiB).Slab, kept = bystander.AllocateSlab(64 * SponsorUnderTest.MiB).Slab;
        using TcpDataConnection data = Open(sponsor, client), his = Open(sponsor, bystander);
        DataToken unused = client.RequestToken();

        // The file is looked at by itself; who has a lease in etcd is no exception.
        sponsor.Store.IsOwned = _ => true;
        Trust(new TrustEntry("alice", keys.PublicZ85) { Revoked = new DateOnly(2026, 11, 26) }, new TrustEntry("bob", others.PublicZ85));
        Completions.WaitUntilBroken(data);
        Assert.Equal(SponsorErrorCode.NotTrusted, Assert.Throws<SponsorException>(() => client.RequestToken()).Code);
        Assert.Throws<DataConnectionException>(() => TcpDataConnection.Connect(Address(sponsor), client.Demander, unused.Token, Deadline).Dispose());
        Eventually.True(() => sponsor.Log.Any(line => line.Contains("Ended the sessions of demander", StringComparison.Ordinal) && line.EndsWith("the key of 'alice' was revoked on 2026-11-26", StringComparison.Ordinal)), "telling");

        // By mistake: nothing is lost.
        Trust(new TrustEntry("alice", keys.PublicZ85), new TrustEntry("bob", others.PublicZ85));
        sponsor.Trust!.Ask();
        Eventually.True(() => client.ListSlabsOrNone().Count == 1, "being trusted again");
        Assert.Equal(slab, Assert.Single(client.ListSlabs()).Slab);

        Trust(new TrustEntry("alice", keys.PublicZ85) { Revoked = new DateOnly(2026, 11, 26) }, new TrustEntry("bob", others.PublicZ85));
        sponsor.Trust!.Ask();
        Eventually.True(
            () =>
            {
                _time.Advance(SponsorUnderTest.GoneAfter / 2);
                _ = bystander.Stats();
                return sponsor.Store.LentBytes == 64 * SponsorUnderTest.MiB;
            },
            "freeing");
        Assert.Equal(kept, Assert.Single(bystander.ListSlabs()).Slab);
        Read(his, kept);
    }

    [Fact]
    public void A_key_is_changed_while_its_demander_is_connected()
    {
        (string path, CurveKeyPair old) = NewKey("alice");
        SponsorUnderTest sponsor = Start(new TrustEntry("alice", old.PublicZ85));
        SponsorClient client = Connect(sponsor, path);
        ulong slab = client.AllocateSlab(64 * SponsorUnderTest.MiB).Slab;

        // The new one first: what is connected has the old one still.
        CurveKeyPair fresh = CurveKeyPair.Create();
        Trust(new TrustEntry("alice", old.PublicZ85), new TrustEntry("alice", fresh.PublicZ85));
        KeyFile.Write(path, fresh.SecretZ85, KeyFile.SecretMode, overwrite: true, "");
        _ = client.RequestToken();
        Trust(new TrustEntry("alice", old.PublicZ85) { Revoked = new DateOnly(2026, 11, 26) }, new TrustEntry("alice", fresh.PublicZ85));
        sponsor.Trust!.Ask();
        Eventually.True(() => sponsor.Log.Any(line => line.Contains("Ended the sessions", StringComparison.Ordinal)), "revoking");

        // No request of it fails, with many at once neither, and it has what it had.
        Parallel.For(0, 16, _ => Assert.Equal(32, client.RequestToken().Token.Length));
        Assert.Equal(slab, Assert.Single(client.ListSlabs()).Slab);
        Assert.True(client.IsAlive, client.Failure);
        using TcpDataConnection data = Open(sponsor, client);
        Read(data, slab);
    }

    [Fact]
    public void One_name_does_not_take_the_places_of_all_demanders()
    {
        using var store = new Hecatonchire.Sponsor.Slabs.SlabStore(new() { OfferedBytes = 0, DemandersMax = 8, DemandersPerNameMax = 2 }, _time);
        TrustEntry alice = new("alice", "a"), another = new("alice", "b"), bob = new("bob", "c");
        Guid first = Guid.NewGuid();
        Assert.Null(store.Greet(first, "1", alice.Key, alice));
        Assert.Null(store.Greet(Guid.NewGuid(), "2", another.Key, another));
        Assert.Equal("'alice' has 2 demanders here and gets no more", store.Greet(Guid.NewGuid(), "3", alice.Key, alice)?.Message);
        Assert.Null(store.Greet(first, "1", another.Key, another));
        Assert.Null(store.Greet(Guid.NewGuid(), "4", bob.Key, bob));
    }

    [Fact]
    public void The_id_of_a_demander_does_nothing_for_who_has_the_key_of_another()
    {
        (string path, CurveKeyPair keys) = NewKey("alice");
        (string thief, CurveKeyPair others) = NewKey("bob");
        SponsorUnderTest sponsor = Start(new TrustEntry("alice", keys.PublicZ85), new TrustEntry("bob", others.PublicZ85));
        SponsorClient client = Connect(sponsor, path);
        ulong slab = client.AllocateSlab(64 * SponsorUnderTest.MiB).Slab;
        SponsorException refused = Assert.Throws<SponsorException>(() => Connect(sponsor, thief, client.Demander));
        Assert.Equal($"sponsor 127.0.0.1:{sponsor.Control.Port} does not allow it: this demander id is another's", refused.Message);
        Assert.Equal(slab, Assert.Single(client.ListSlabs()).Slab);
    }

    [Theory]
    [InlineData("alice what")]
    [InlineData(null)]
    public void A_change_that_cannot_be_read_leaves_everything_as_it_was_and_is_told(string? text)
    {
        (string path, CurveKeyPair keys) = NewKey("alice");
        SponsorUnderTest sponsor = Start(new TrustEntry("alice", keys.PublicZ85));
        if (text is null)
        {
            File.Delete(TrustPath);
        }
        else
        {
            File.WriteAllText(TrustPath, text);
        }

        Eventually.True(
            () => sponsor.Log.Contains(
                "Error: The keys that were trusted before stay so: "
                + (text is null ? $"there is no trust file {TrustPath}: heca key trust makes one" : $"{TrustPath}, line 1: after 'alice' comes no public key (40 characters of Z85)")),
            "telling");
        Assert.True(Connect(sponsor, path).IsAlive);
        Assert.Equal(SponsorErrorCode.NotTrusted, Assert.Throws<SponsorException>(() => Connect(sponsor, NewKey("stranger").Path)).Code);
    }

    [Fact]
    public void A_trust_file_that_comes_later_takes_nothing_from_those_who_were_let_in_without_a_key()
    {
        var sponsor = new SponsorUnderTest(trust: TrustPath);
        _open.Add(sponsor);
        SponsorClient client = Connect(sponsor, null);
        Trust(new TrustEntry("alice", NewKey("alice").Keys.PublicZ85));
        sponsor.Trust!.Ask();
        Eventually.True(() => sponsor.Log.Any(line => line.Contains("counts from the next start on", StringComparison.Ordinal)), "telling");
        _ = client.AllocateSlab(64 * SponsorUnderTest.MiB);
    }

    private SponsorUnderTest Start(params TrustEntry[] trusted)
    {
        Trust(trusted);
        var sponsor = new SponsorUnderTest(trust: TrustPath, time: _time);
        _open.Add(sponsor);
        return sponsor;
    }

    private void Trust(params TrustEntry[] trusted)
    {
        TrustFile file = TrustFile.Parse([], TrustPath);
        Array.ForEach(trusted, file.Set);
        file.Write(TrustPath);
    }

    private (string Path, CurveKeyPair Keys) NewKey(string name)
    {
        string path = Path.Combine(_directory, $"{name}.secret");
        CurveKeyPair keys = CurveKeyPair.Create();
        KeyFile.Write(path, keys.SecretZ85, KeyFile.SecretMode, overwrite: true, "");
        return (path, keys);
    }

    private SponsorClient Connect(SponsorUnderTest sponsor, string? key, Guid? demander = null)
    {
        SponsorClient client = sponsor.Connect(
            demander, new SponsorClientOptions { RequestTimeout = Deadline, Key = key is null ? null : new DemanderKey(key) });
        _open.Insert(0, client);
        return client;
    }

    private static IPEndPoint Address(SponsorUnderTest sponsor) => new(IPAddress.Loopback, sponsor.Data.Port);

    private static TcpDataConnection Open(SponsorUnderTest sponsor, SponsorClient client) =>
        TcpDataConnection.Connect(Address(sponsor), client.Demander, client.RequestToken().Token, Deadline);

    private static void Read(TcpDataConnection connection, ulong slab)
    {
        using PageBuffer page = new(1);
        Assert.True(connection.TryPostRead(1, slab, 0, 1, page.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
    }

    private void AssertRefused(SponsorUnderTest sponsor, string? key, string message)
    {
        SponsorException refused = Assert.Throws<SponsorException>(() => Connect(sponsor, key));
        Assert.Equal(SponsorErrorCode.NotTrusted, refused.Code);
        Assert.Equal(message, refused.Message);
    }
}

file static class Clients
{
    public static IReadOnlyList<SlabEntry> ListSlabsOrNone(this SponsorClient client)
    {
        try
        {
            return client.ListSlabs();
        }
        catch (SponsorException failure) when (failure.Code == SponsorErrorCode.NotTrusted)
        {
            return [];
        }
    }
}
