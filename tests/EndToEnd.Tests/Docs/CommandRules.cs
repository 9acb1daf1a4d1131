using System.Text.RegularExpressions;

namespace Hecatonchire.Tests.Docs;

/// <summary>How a command that is shown is looked at.</summary>
internal enum CommandTreatment
{
    /// <summary>Run as it stands, with what <see cref="CommandRules.Substitutions"/> say, and ends with the status.</summary>
    Run,

    /// <summary>A daemon: started, comes to be ready, is told to end, ends with 0.</summary>
    Serve,

    /// <summary>Only parsed, by what would parse it.</summary>
    Parse,

    /// <summary>A target of make: what would be run is asked for, and what of it is heca's is parsed.</summary>
    Make,

    /// <summary>Another program's: named here with the reason why it is not run; the file that the rule names has to be there.</summary>
    Other,
}

/// <summary>What is done with commands that match; the first rule that does counts.</summary>
/// <param name="Pattern">Of all of the command.</param>
/// <param name="Treatment">What is done.</param>
/// <param name="Reason">Why no more than that is.</param>
internal sealed record CommandRule(string Pattern, CommandTreatment Treatment, string Reason = "")
{
    /// <summary>What it has to end with.</summary>
    public int Status { get; init; }

    /// <summary>Changes nothing: where it is shown again it is not run again.</summary>
    public bool IsOnce { get; init; }

    /// <summary>A file of this tree that the command is about; null: none.</summary>
    public string? About { get; init; }

    public bool Matches(string command) => Regex.IsMatch(command, $"^(?:{Pattern})$", RegexOptions.CultureInvariant);
}

/// <summary>The one table of what is done with each command, and what is put in the place of what a reader has to choose.</summary>
internal static class CommandRules
{
    public static IReadOnlyList<CommandRule> All { get; } =
    [
        // What needs a device ends as README says where there is none, and there is none for loopback.
        new(@"bin/heca-sponsor .*--transport rdma", CommandTreatment.Run) { Status = 3 },
        new(@"bin/heca run --transport rdma .*", CommandTreatment.Run) { Status = 3 },

        new(@"(bin/)?heca-sponsor .*", CommandTreatment.Serve) { IsOnce = true },
        new(@"(bin/)?heca pager .*", CommandTreatment.Serve) { IsOnce = true },
        new(@"(bin/)?heca bench .*", CommandTreatment.Parse, "takes seconds to hours, and as much of the host: BenchSuiteTests and NetworkBenchTests run them"),
        new(@"(bin/)?heca (run|check|cluster)\b.*", CommandTreatment.Run) { IsOnce = true },
        new(@"heca (segment|drain|offer|key)\b.*", CommandTreatment.Run),
        new(@"cc .*", CommandTreatment.Run),
        new(@"make( .*)?", CommandTreatment.Make),

        new(@"apt-get install \./deb/heca-sponsor_\*\.deb", CommandTreatment.Other, "PackageTests install what make deb makes") { About = "deploy/deb/heca-sponsor.postinst" },
        new(@"apt-get install \./deb/heca_\*\.deb", CommandTreatment.Other, "the same") { About = "deploy/deb/heca.postinst" },
        new(@"\$EDITOR /etc/heca/sponsor\.conf", CommandTreatment.Other, "a person does that") { About = "deploy/etc/sponsor.conf" },
        new(@"\$EDITOR /etc/heca/pager\.conf", CommandTreatment.Other, "a person does that") { About = "deploy/etc/pager.conf" },
        new(@"systemctl enable --now heca-sponsor", CommandTreatment.Other, "needs a running systemd; UnitTests look at the unit") { About = "deploy/systemd/heca-sponsor.service" },
        new(@"systemctl enable --now heca-pager", CommandTreatment.Other, "needs a running systemd; UnitTests look at the unit") { About = "deploy/systemd/heca-pager.service" },
        new(@"rdma link add rxe0 type rxe netdev eth0", CommandTreatment.Other, "makes a device of the host's: the checks in virtual machines do") { About = "tests/vm/checks" },
        new(@"\.ci/run", CommandTreatment.Other, "runs this test") { About = ".ci/run" },
        new(@"tests/programs/compare", CommandTreatment.Other, "measures for minutes") { About = "tests/programs/compare" },
        new(@"tests/bench/sponsors", CommandTreatment.Other, "measures for minutes") { About = "tests/bench/sponsors" },
        new(@"dotnet build tests/Common\.Tests && tests/Common\.Tests/bin/Debug/net10\.0/Common\.Tests .*", CommandTreatment.Other, "builds what is being tested") { About = "tests/Common.Tests" },
    ];

    /// <summary>In their order, in commands that are run. What begins with @ is the test's own: see <see cref="CommandWorld.Own"/>.</summary>
    public static IReadOnlyList<(string Pattern, string Replacement)> Substitutions { get; } =
    [
        // The programs, which are on the PATH too; then hosts.
        (@"^bin/(?=heca)", ""),
        (@"\b10\.0\.0\.2:7400\b|\ba:7400\b", "@sponsor-a"),
        (@"\b10\.0\.0\.3:7400\b|\bb:7400\b", "@sponsor-b"),
        (@"http://10\.0\.0\.9:2379\b", "@etcd"),
        (@"http://10\.0\.0\.9:4318\b", "http://127.0.0.1:9"),
        (@"--listen 10\.0\.0\.2\b", "--listen 127.0.0.1"),
        (@"--metrics 940\d\b", "--metrics 0"),
        (@" && ssh 10\.0\.0\.\d .*$", ""),

        // Programs that do not end, or take long, by themselves.
        (@"\bredis-server$", "redis-server --version"),
        (@"\./heca-sample$", "./heca-sample 262144"),

        // README's own program, which has 16 GiB of address space: an embedded sponsor lends 1 GiB unless told otherwise.
        (@"--embedded --local 256MiB -- \./program", "--embedded --memory 16GiB --local 256MiB -- ./program"),

        // A segment of a program that runs.
        (@"\b5f3a\b", "@segment"),

        // Not this host's own keys.
        (@"^heca key new$", "rm -f demander.secret demander.public; heca key new --key demander.secret"),
        (@"/etc/heca/demander\.secret", "demander.secret"),
        (@"^(heca key (?:trust|revoke|show --trusted)\b.*)$", "$1 --trust sponsor.trust"),
        (@"'HJ4k\.\.\.'", "'@farm-key'"),
        (@"\b2027-12-31\b", "@next-year"),
    ];

    /// <summary>First lines of blocks that are no commands.</summary>
    public static IReadOnlySet<string> Pictures { get; } = new HashSet<string>
    {
        "program + libheca.so            demander host               |   sponsor host",
        "Untouched   never touched: a zero page on the first fault, without network",
        "/heca/cluster                                     6c1e0f5a9b8d4a7f8c3d2e1f0a9b8c7d",
    };

    /// <summary>Languages of blocks that are no commands.</summary>
    public static IReadOnlySet<string> Languages { get; } = new HashSet<string> { "c", "csharp" };

    /// <summary>Options in backticks that are neither heca's nor heca-sponsor's, and whose they are.</summary>
    public static IReadOnlyDictionary<string, string> OptionsOfOthers { get; } = new Dictionary<string, string>
    {
        ["--auto-compaction-retention"] = "etcd",
        ["--force-depends"] = "dpkg",
        ["--test-dir"] = "ctest",
        ["--vm"] = "stress-ng",
    };
}
