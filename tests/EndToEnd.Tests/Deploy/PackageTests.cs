using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>The Debian packages of what `make` has published.</summary>
public sealed class PackageTests
{
    [Fact]
    public void The_packages_are_built_installed_used_upgraded_removed_and_purged()
    {
        string? published = Environment.GetEnvironmentVariable("HECA_BIN");
        Capability.Require("packages", !string.IsNullOrEmpty(published), "packages are made of what `make` publishes: HECA_BIN=bin");
        Capability.Require("packages", Environment.IsPrivilegedProcess && File.Exists("/usr/bin/dpkg-deb") && CanOverlay(), "needs root, dpkg-deb and overlay mounts");
        (int status, string output) = Tool.Run(Path.Combine(Programs.Root, "tests/packages/lifecycle"));
        Assert.True(status == 0 && output.Contains("\n== done\n", StringComparison.Ordinal), output);
    }

    /// <summary>Roots of containers are such mounts themselves, and then none can be had on top.</summary>
    private static bool CanOverlay() => Tool.Run(
        "/usr/bin/unshare", "--mount", "sh", "-c", "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && mkdir $d/u $d/w $d/r && mount -t overlay overlay -o lowerdir=/,upperdir=$d/u,workdir=$d/w $d/r && umount $d/r $d && rmdir $d").Status == 0;
}
