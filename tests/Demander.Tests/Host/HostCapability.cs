using Xunit;

namespace Hecatonchire.Tests.Host;

/// <summary>A test that needs something of the host skips without it, unless HECA_REQUIRE says that it must be there.</summary>
internal static class HostCapability
{
    public static void Require(string name, bool present, string reason)
    {
        if (present)
        {
            return;
        }

        string[] required = (Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Split(',', StringSplitOptions.TrimEntries);
        Assert.False(required.Contains(name), $"HECA_REQUIRE names {name}, but {reason}");
        Assert.Skip($"{name}: {reason}");
    }
}
