using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Hecatonchire.Transport.InMemory;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Pager;

public sealed unsafe class ConnectionShareTests : IDisposable
{
    private const int RequestsMax = 8;

    private readonly byte* _page = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)PageSize.Bytes, (nuint)PageSize.Bytes);
    private readonly InMemorySponsor _sponsor = new();
    private readonly ConnectionShare _share;
    private readonly ulong _slab;

    public ConnectionShareTests()
    {
        _slab = _sponsor.AddSlab(64);
        _share = new ConnectionShare(new InMemoryDataConnection(_sponsor, requestsInFlightMax: RequestsMax));
    }

    public void Dispose()
    {
        _sponsor.Dispose();
        System.Runtime.InteropServices.NativeMemory.AlignedFree(_page);
    }

    [Fact]
    public void A_place_that_was_given_back_is_given_again()
    {
        for (int i = 0; i < 3 * ConnectionShare.MembersMax; i++)
        {
            IDataConnection member = Assert.IsAssignableFrom<IDataConnection>(_share.Add());
            Assert.True(member.TryPostRead(7, _slab, 0, 1, _page));
            member.Submit();
            Assert.Equal([7UL], CookiesOf(member));
            member.Dispose();
        }
    }

    [Fact]
    public void There_are_no_more_than_there_is_place_for()
    {
        for (int i = 0; i < ConnectionShare.MembersMax; i++)
        {
            Assert.NotNull(_share.Add());
        }

        Assert.Null(_share.Add());
    }

    [Fact]
    public void Each_is_told_of_its_own_requests()
    {
        IDataConnection[] members = [_share.Add()!, _share.Add()!, _share.Add()!];
        foreach (ulong round in (ulong[])[10, 20])
        {
            for (int i = 0; i < members.Length; i++)
            {
                Assert.True(members[i].TryPostRead(round + (ulong)i, _slab, 0, 1, _page));
            }
        }

        members[0].Submit();
        for (int i = 0; i < members.Length; i++)
        {
            Assert.Equal([10UL + (ulong)i, 20UL + (ulong)i], CookiesOf(members[i]));
        }
    }

    [Fact]
    public void Who_takes_its_completions_late_loses_none_and_gets_no_more_requests_than_that()
    {
        IDataConnection late = _share.Add()!, other = _share.Add()!;
        for (ulong round = 0; round < 4; round++)
        {
            int posted = 0;
            while (late.TryPostRead(round, _slab, 0, 1, _page))
            {
                posted++;
            }

            Assert.Equal(round == 0 ? RequestsMax : 0, posted);
            Assert.Equal(round == 0 ? 0 : RequestsMax, other.FreeRequests);
            Assert.Equal(0, late.FreeRequests);
            late.Submit();

            // Polls for both, and finds nothing of its own.
            Assert.Empty(CookiesOf(other));
        }

        Assert.Equal(RequestsMax, CookiesOf(late).Length);
        Assert.Equal(RequestsMax, late.FreeRequests);
        Assert.True(late.TryPostRead(1, _slab, 0, 1, _page));
    }

    private static ulong[] CookiesOf(IDataConnection member)
    {
        var completions = new DataCompletion[64];
        int count = member.Poll(completions);
        return [.. completions.Take(count).Select(completion => completion.Cookie)];
    }
}
