using System.Net;
using System.Net.Sockets;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Transport;

public sealed class TcpOpeningTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    private static DataConnectionException Failure(IPEndPoint address, TimeSpan? timeout = null) =>
        Assert.Throws<DataConnectionException>(
            () => TcpDataConnection.Connect(address, Guid.NewGuid(), new byte[32], timeout ?? s_timeout));

    [Theory]
    [InlineData(1, DataConnectionFailure.Protocol)]
    [InlineData(2, DataConnectionFailure.Version)]
    [InlineData(3, DataConnectionFailure.Token)]
    [InlineData(6, DataConnectionFailure.Busy)]
    [InlineData(7, DataConnectionFailure.Busy)]
    [InlineData(99, DataConnectionFailure.Protocol)]
    internal void A_refusal_says_why(byte status, DataConnectionFailure expected)
    {
        using FakeSponsor sponsor = new(_ => FakeSponsor.Welcome((WireStatus)status));
        DataConnectionException failure = Failure(sponsor.Address);
        Assert.Equal(expected, failure.Failure);
        Assert.Contains(sponsor.Address.ToString(), failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
    }

    [Fact]
    public void A_sponsor_of_another_version_or_with_absurd_limits_is_refused()
    {
        byte[][] answers = [FakeSponsor.Welcome(version: 2), FakeSponsor.Welcome(pagesMax: 0), FakeSponsor.Welcome(pagesMax: 257), new byte[64], [1, 2, 3], []];
        using FakeSponsor sponsor = new(number => answers[number]);
        Assert.Equal(DataConnectionFailure.Version, Failure(sponsor.Address).Failure);
        for (int i = 1; i < answers.Length; i++)
        {
            Assert.Equal(DataConnectionFailure.Protocol, Failure(sponsor.Address).Failure);
        }
    }

    [Fact]
    public void Nobody_there_is_unreachable()
    {
        using Socket bound = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        bound.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        IPEndPoint address = (IPEndPoint)bound.LocalEndPoint!;
        Assert.Equal(DataConnectionFailure.Unreachable, Failure(address).Failure);

        // Connected by the kernel's queue, but nobody says WELCOME.
        bound.Listen(1);
        Assert.Equal(DataConnectionFailure.Unreachable, Failure(address, TimeSpan.FromMilliseconds(50)).Failure);
    }

    [Fact]
    public void A_token_of_the_wrong_length_is_not_sent() =>
        Assert.Equal(
            DataConnectionFailure.Token,
            Assert.Throws<DataConnectionException>(
                () => TcpDataConnection.Connect(new IPEndPoint(IPAddress.Loopback, 1), Guid.Empty, new byte[31], s_timeout)).Failure);
}
