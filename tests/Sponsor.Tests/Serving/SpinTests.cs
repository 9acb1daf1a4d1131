using Hecatonchire.Sponsor.Serving;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>How long the serving thread looks for a connection's next request.</summary>
public class SpinTests
{
    private const long Max = 800;

    [Fact]
    public void Requests_that_come_soon_after_a_sleep_make_it_look_longer_and_late_ones_shorter()
    {
        using var directory = new TestSlabDirectory();
        using var context = new ServingContext(directory, Guid.NewGuid());
        using var connection = new ServingConnection(context, 0);
        List<long> spins = [];
        foreach (long pause in new long[] { 5000, 300, 300, 300, 800, 801, 5000, 5000, 5000, 100 })
        {
            long now = connection.LastWork + pause;
            connection.NoteMissed(now, Max);
            connection.LastWork = now;
            spins.Add(connection.SpinTicks);
        }

        Assert.Equal([100, 200, 400, 800, 800, 400, 200, 100, 100, 200], spins);
    }

    [Fact]
    public void Without_spinning_allowed_it_never_looks()
    {
        using var directory = new TestSlabDirectory();
        using var context = new ServingContext(directory, Guid.NewGuid());
        using var connection = new ServingConnection(context, 0);
        connection.NoteMissed(10, 0);
        Assert.Equal(0, connection.SpinTicks);
    }
}
