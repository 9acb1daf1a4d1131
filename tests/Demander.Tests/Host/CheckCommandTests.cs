using System.CommandLine;
using System.Text.Json;
using Hecatonchire.Cli.Check;
using Hecatonchire.Host;
using Xunit;

namespace Hecatonchire.Tests.Host;

/// <summary>`heca check` on this host, for real.</summary>
public sealed class CheckCommandTests
{
    [Fact]
    public void Json_is_one_object_and_agrees_with_the_exit_status()
    {
        (int status, string text) = Run("check", "--json");
        using JsonDocument document = JsonDocument.Parse(text);
        JsonElement root = document.RootElement;
        Assert.Equal(status == 0, root.GetProperty("ok").GetBoolean());
        JsonElement[] probes = [.. root.GetProperty("probes").EnumerateArray()];
        Assert.Equal(
            ["userfaultfd", "userfaultfd_features", "userfaultfd_device", "unprivileged_userfaultfd", "kernel", "ptrace", "libzmq", "cgroup", "psi",
                "swap", "memlock", "huge_pages", "rdma", "processors"],
            probes.Select(p => p.GetProperty("name").GetString()));
        Assert.All(probes, p =>
        {
            Assert.Equal(["name", "status", "found", "meaning", "remedy"], p.EnumerateObject().Select(f => f.Name));
            Assert.Contains(p.GetProperty("status").GetString(), new[] { "ok", "warn", "fail" });
            Assert.NotEmpty(p.GetProperty("found").GetString()!);
            Assert.NotEmpty(p.GetProperty("meaning").GetString()!);
        });
        Assert.Equal(status == 0 ? 0 : 3, status);
        Assert.Equal(status == 0, HostRequirements.FirstMissing() is null);
    }

    [Fact]
    public void Opens_a_real_userfaultfd()
    {
        UserfaultfdOpening opening = UserfaultfdOpening.Try();
        HostCapability.Require("userfaultfd", opening.Opened, "this user may not open one: see `heca check`");
        Assert.Equal(0, opening.ApiErrno);
        Assert.NotEqual(0UL, opening.Features & (1UL << 8));
    }

    [Fact]
    public void Plain_text_has_no_escapes_and_a_line_for_each_probe()
    {
        (_, string text) = Run("check");
        Assert.DoesNotContain('\u001b', text);
        string[] lines = text.TrimEnd().Split('\n');
        Assert.Equal(14, lines.Count(l => l.StartsWith("ok ", StringComparison.Ordinal) || l.StartsWith("warn ", StringComparison.Ordinal) || l.StartsWith("fail ", StringComparison.Ordinal)));
        Assert.StartsWith("This host can", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_probe_is_exit_3_material_and_its_remedy_follows_it()
    {
        HostProbe[] probes = [new("kernel", ProbeStatus.Ok, "6.18", "fine"), new("libzmq", ProbeStatus.Fail, "none", "no [channel]", "sudo apt-get install \"x\" && y")];
        Assert.False(CheckReport.IsUsable(probes));
        var plain = new StringWriter();
        CheckReport.WritePlain(plain, probes);
        Assert.Equal(
            "ok    kernel  6.18; fine\nfail  libzmq  none; no [channel]\n              mend: sudo apt-get install \"x\" && y\n"
            + "This host cannot run a pager: mend what says fail.\n", plain.ToString());
        var json = new StringWriter();
        CheckReport.WriteJson(json, probes);
        Assert.Equal(
            """{"ok":false,"probes":[{"name":"kernel","status":"ok","found":"6.18","meaning":"fine","remedy":null},{"name":"libzmq","status":"fail","found":"none","meaning":"no [channel]","remedy":"sudo apt-get install \"x\" && y"}]}""",
            json.ToString().TrimEnd());
    }

    private static (int Status, string Text) Run(params string[] arguments)
    {
        var output = new StringWriter();
        var root = new RootCommand { CheckCommand.Create() };
        int status = root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output });
        return (status, output.ToString());
    }
}
