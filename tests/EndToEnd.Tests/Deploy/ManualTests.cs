using Hecatonchire.Manual;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>Manual pages, completion and configuration files: made from what parses the command line, and readable.</summary>
public sealed class ManualTests
{
    public static TheoryData<string> Pages => ["heca.1", "heca-sponsor.8", "heca.h.3"];

    [Fact]
    public void What_is_there_is_what_make_man_makes()
    {
        foreach ((string path, string text) in ManualProgram.Files(Programs.Root))
        {
            string file = Path.Combine(Programs.Root, path);
            Assert.True(File.Exists(file) && File.ReadAllText(file) == text, $"{path} is not what the command lines and headers say: make man");
        }
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void A_page_is_well_formed(string page)
    {
        Capability.Require("man", File.Exists("/usr/bin/man") && File.Exists("/usr/bin/mandoc"), "no man or mandoc: apt-get install man-db mandoc");
        string path = Path.Combine(Programs.Root, "deploy/man", page);
        (int status, string output) = Tool.RunWith([("MANWIDTH", "160"), ("MANPAGER", "cat")], "/usr/bin/man", "--warnings", "-l", path);
        Assert.Equal(0, status);
        Assert.DoesNotContain("warning:", output, StringComparison.Ordinal);
        Assert.Equal("", Tool.Run("/usr/bin/mandoc", "-T", "lint", "-W", "warning", path).Output);
        Assert.All((string[])["NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"], section => Assert.Contains($"\n{section}\n", output, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_option_and_function_has_its_place()
    {
        foreach ((string page, string command) in (IEnumerable<(string, string)>)[("heca.1", Programs.Heca), ("heca-sponsor.8", Programs.Sponsor)])
        {
            string text = File.ReadAllText(Path.Combine(Programs.Root, "deploy/man", page)).Replace("\\-", "-", StringComparison.Ordinal);
            string help = Tool.Output(command, [.. page == "heca.1" ? ["run"] : Array.Empty<string>(), "--help"]);
            string[] options = [.. help.Split('\n').Select(line => line.Trim().Split(' ')[0]).Where(word => word.StartsWith("--", StringComparison.Ordinal) && word is not ("--" or "--version"))];
            Assert.True(options.Length > 10, help);
            Assert.All(options, option => Assert.Contains($"\\fB{option}\\fR", text, StringComparison.Ordinal));
        }

        string header = File.ReadAllText(Path.Combine(Programs.Root, "deploy/man/heca.h.3"));
        Assert.All((string[])["heca_segment_allocate", "heca_segment_size", "HECA_ADVICE_PAGE_OUT", "pages_lost", "ENOSPC"], name => Assert.Contains(name, header, StringComparison.Ordinal));
    }

    [Fact]
    public void Options_of_units_images_and_manifests_are_options()
    {
        var help = CommandHelp.Of("heca", Hecatonchire.Cli.Composition.CreateCommandLine());
        HashSet<string> heca = [.. help.All.SelectMany(command => command.Options).Select(option => option.Name)];
        HashSet<string> sponsor = [.. CommandHelp.Of("heca-sponsor", Hecatonchire.Sponsor.Cli.SponsorCommand.Create()).Options.Select(option => option.Name)];
        foreach ((string file, string start, HashSet<string> known) in (IEnumerable<(string, string, HashSet<string>)>)[
            ("kubernetes/sponsor.yaml", "- --", sponsor), ("kubernetes/program.yaml", "- --", [.. heca, "--protected-mode"]),
            ("systemd/heca-sponsor.service", "ExecStart=", sponsor), ("systemd/heca-pager.service", "ExecStart=", heca),
            ("container/sponsor.Containerfile", "#   docker run", [.. sponsor, "--network", "--ulimit"]), ("container/program.Containerfile", "#       run", heca)])
        {
            string[] options = [.. File.ReadLines(Path.Combine(Programs.Root, "deploy", file)).Where(line => line.TrimStart().StartsWith(start, StringComparison.Ordinal))
                .SelectMany(line => line.Split(' ')).Where(word => word.StartsWith("--", StringComparison.Ordinal) && word != "--").Select(word => word.Split('=')[0])];
            Assert.NotEmpty(options);
            Assert.All(options, option => Assert.Contains(option, known));
        }
    }

    [Theory]
    [InlineData("heca", "run --tra", "--transport")]
    [InlineData("heca", "run --transport ", "auto rdma tcp")]
    [InlineData("heca", "run --read-policy sh", "shortest-queue")]
    [InlineData("heca", "seg", "segment")]
    [InlineData("heca", "segment g", "grow")]
    [InlineData("heca", "segment shrink 5f3a --dr", "--drop")]
    [InlineData("heca", "run --spill /us", "/usr")]
    [InlineData("heca", "run --local 1GiB --sponsor ", "")]
    [InlineData("heca", "run --embedded -- systemd-anal", "systemd-analyze")]
    [InlineData("heca", "pager --conf", "--config")]
    [InlineData("heca-sponsor", "--transport r", "rdma")]
    [InlineData("heca-sponsor", "--da", "--data-port")]
    public void Bash_completes(string program, string line, string words)
    {
        Capability.Require("bash", File.Exists("/bin/bash"), "no bash");
        string[] typed = line.Split(' ');
        string script =
            $". deploy/completion/{program}.bash; COMP_WORDS=({program} \"$@\"); COMP_CWORD=$(($#)); _{program.Replace('-', '_')}; printf '%s\\n' \"${{COMPREPLY[@]}}\" | sort -u";
        Assert.Equal(words, string.Join(' ', Tool.Output("/bin/bash", ["-uc", script, "bash", .. typed]).Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }
}
