using System.Text.RegularExpressions;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>What deploy/ has for systemd and udev.</summary>
public sealed partial class UnitTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("heca-test-units-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("heca-sponsor.service", 20)]
    [InlineData("heca-pager.service", 40)]
    public void Systemd_takes_the_units_and_finds_them_no_more_exposed_than_they_were(string unit, int exposureTenthsMax)
    {
        Capability.Require("systemd", File.Exists("/usr/bin/systemd-analyze"), "no systemd-analyze: apt-get install systemd");
        string path = Path.Combine(Programs.Root, "deploy/systemd", unit);

        // The programs and pages are not installed here.
        string installed = Path.Combine(_root, unit);
        File.WriteAllText(installed, File.ReadAllText(path).Replace("ExecStart=/usr/bin/heca", "ExecStart=/bin/true ", StringComparison.Ordinal));
        (int status, string output) = Tool.Run("/usr/bin/systemd-analyze", "verify", "--man=no", "--recursive-errors=no", installed);
        Assert.True(status == 0 && !output.Contains(_root, StringComparison.Ordinal), output);

        // What systemd does not know it says, and lets pass.
        File.AppendAllText(installed, "\n[Service]\nNoSuchOption=yes\n");
        Assert.Contains("NoSuchOption", Tool.Run("/usr/bin/systemd-analyze", "verify", "--man=no", "--recursive-errors=no", installed).Output, StringComparison.Ordinal);

        (_, string security) = Tool.Run("/usr/bin/systemd-analyze", "security", "--offline=true", "--no-pager", path);
        Match exposure = Exposure().Match(security);
        Assert.True(exposure.Success, security);
        Assert.InRange(int.Parse(exposure.Groups[1].Value + exposure.Groups[2].Value), 0, exposureTenthsMax);
    }

    [Fact]
    public void Users_groups_and_directories_are_made()
    {
        Capability.Require("systemd", File.Exists("/usr/bin/systemd-sysusers") && Environment.IsPrivilegedProcess, "needs root and systemd-sysusers");
        _ = Directory.CreateDirectory(Path.Combine(_root, "etc"));
        _ = Tool.Output("/usr/bin/systemd-sysusers", $"--root={_root}", Path.Combine(Programs.Root, "deploy/sysusers.d/heca.conf"), Path.Combine(Programs.Root, "deploy/sysusers.d/heca-sponsor.conf"));
        Assert.Contains("heca-sponsor:", File.ReadAllText(Path.Combine(_root, "etc/passwd")), StringComparison.Ordinal);
        Assert.Matches("(?m)^heca:x:", File.ReadAllText(Path.Combine(_root, "etc/group")));
        _ = Tool.Output("/usr/bin/systemd-tmpfiles", $"--root={_root}", "--create", Path.Combine(Programs.Root, "deploy/tmpfiles.d/heca.conf"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.Combine(_root, "run/heca")));
    }

    [GeneratedRegex(@"Overall exposure level for \S+: (\d+)\.(\d)")]
    private static partial Regex Exposure();
}
