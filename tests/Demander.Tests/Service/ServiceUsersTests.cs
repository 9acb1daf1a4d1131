using Hecatonchire.Interop;
using Hecatonchire.Service;
using Xunit;

namespace Hecatonchire.Tests.Service;

/// <summary>Whose programs the host's pager serves. root, daemon (1) and nogroup are on every Debian.</summary>
public sealed class ServiceUsersTests
{
    private readonly ServiceUsers _users = new();

    [Fact]
    public void Root_and_the_pagers_own_user_are_served_and_nobody_else()
    {
        Assert.True(Allows(0));
        Assert.True(Allows(Libc.EffectiveUser()));
        Assert.False(Allows(54321));
    }

    [Theory]
    [InlineData("daemon", 1, 500, false)]
    [InlineData("1", 1, 500, false)]
    [InlineData("@nogroup", 54321, 65534, false)]
    [InlineData("@777", 54321, 500, true)]
    [InlineData("all", 54321, 500, false)]
    public void Who_is_named_is_served(string name, uint user, uint group, bool isSupplementary)
    {
        uint[] groups = isSupplementary ? [1, 777] : [];
        Assert.False(_users.Allows(new PeerCredentials { User = user, Group = group }, groups));
        Assert.True(_users.TryAdd(name));
        Assert.True(_users.Allows(new PeerCredentials { User = user, Group = group }, groups));
    }

    [Theory]
    [InlineData("")]
    [InlineData("@")]
    [InlineData("no-such-user")]
    [InlineData("@no-such-group")]
    [InlineData("-1")]
    public void A_name_that_nobody_has_is_refused(string name) => Assert.False(_users.TryAdd(name));

    private bool Allows(uint user) => _users.Allows(new PeerCredentials { User = user, Group = 500 }, []);
}
