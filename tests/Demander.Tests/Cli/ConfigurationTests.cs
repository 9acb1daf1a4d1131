using System.CommandLine;
using System.Text.RegularExpressions;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Services;
using Hecatonchire.Configuration;
using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>`heca pager --config`, and the file that comes with the packages.</summary>
public sealed partial class ConfigurationTests : IDisposable
{
    private static readonly Command s_pager = PagerCommand.Create((_, _) => throw new NotSupportedException(), (_, _) => throw new GotAsFarAsTheSponsorException());

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-configuration-").FullName;

    /// <summary>Everything before that is right.</summary>
    private sealed class GotAsFarAsTheSponsorException : Exception;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("stripes = 1GiB", "FILE:1: 'stripes' is no option; 'stripe' is")]
    [InlineData("embedded = true\nreplicas = 9", "FILE:2: --replicas 9: write a number from 1 to 3")]
    [InlineData("embedded = true\nlocal = much", "FILE:2: --local 'much': write a size of at least")]
    [InlineData("# both\nembedded = true\nsponsor = 10.0.0.2:7400", "FILE:2: --embedded starts a sponsor of its own: give either it, or --sponsor and --sponsor-key, or --etcd; --sponsor is on line 3")]
    [InlineData("sponsor = 10.0.0.2:7400\nsponsor-key = a\nsponsor-key = b", "FILE:2,3: --sponsor-key: 2 keys for 1 sponsors; give one for all, or one for each")]
    [InlineData("sponsor = nowhere", "FILE:1: --sponsor 'nowhere'")]
    [InlineData("memory = 1GiB\nsponsor = 10.0.0.2:7400\nsponsor-key = KEY", "FILE:1: --memory is what an embedded sponsor offers: it needs --embedded")]
    [InlineData("spill-max = 1GiB\nembedded = true", "FILE:1: --spill-max is how much of a disk --spill may take: give both")]
    [InlineData("embedded = true\nlog-level = loud", "FILE:2: Cannot parse argument 'loud' for option '--log-level'")]
    [InlineData("embedded = perhaps", "FILE:1: 'embedded' must be true or false, and is 'perhaps'")]
    [InlineData("allow = nobody-of-that-name\nembedded = true", "FILE:1: --allow 'nobody-of-that-name': no such user on this host")]
    [InlineData("local = 1:4", "no sponsor: give --sponsor HOST:PORT, or --embedded to start one on this host; FILE was read too")]
    public void A_bad_line_is_one_line_with_file_and_line_and_status_2(string content, string message)
    {
        string file = Write(content.Replace("KEY", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", StringComparison.Ordinal));
        string line = HecaProcess.RunToError(2, "pager", "--config", file);
        Assert.StartsWith($"heca: {message}", line.Replace(file, "FILE", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void The_command_line_takes_the_place_of_lines_of_its_name()
    {
        string file = Write("embedded = true\nreplicas = 9\nallow = nobody-of-that-name\nlog-level = loud\n");
        GetsAsFarAsTheSponsor(file, "--replicas", "1", "--allow", "root", "--log-level=none");
        Assert.Contains(":3: --allow 'nobody", Refusal(file, "--replicas", "1", "--log-level=none"), StringComparison.Ordinal);
        Assert.Equal("--allow '@no-group': no such group on this host; FILE was read too",
            Refusal(file, "--replicas", "1", "--log-level=none", "--allow", "@no-group").Replace(file, "FILE", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_option_is_in_the_file_of_the_packages_with_its_default()
    {
        Dictionary<string, string> lines = Commented().ToDictionary(line => line.Name, line => line.Value);
        Assert.Equal(ConfigurationOption.Of(s_pager).Select(option => option.Name[2..]), lines.Keys);
        ParseResult defaults = new RootCommand { s_pager }.Parse(["pager"]);
        Assert.Empty(defaults.Errors);
        foreach (Option option in ConfigurationOption.Of(s_pager))
        {
            string value = lines[option.Name[2..]];
            if (DefaultInText().Match(option.Description!) is { Success: true } said)
            {
                Assert.True(said.Groups[1].Value.Split([',', ';'])[0] == value || PagerCommand.Examples[option.Name] == value, $"{option.Name} = {value}, and its default is {said.Groups[1].Value}");
            }
            else if (option is Option<bool>)
            {
                Assert.Equal("false", value);
            }
            else if (option.HasDefaultValue && !ConfigurationOption.IsList(option))
            {
                Assert.Equal($"{option.GetDefaultValue()}", value, ignoreCase: true);
            }
            else
            {
                Assert.Equal(PagerCommand.Examples[option.Name], value);
            }
        }
    }

    [Fact]
    public void Each_line_of_the_file_of_the_packages_is_right_once_it_is_no_comment()
    {
        foreach ((string name, string value, int number) in Commented())
        {
            string[] text = File.ReadAllLines(Shipped);
            text[number - 1] = text[number - 1][1..];
            string file = Write(string.Join('\n', text));
            switch (name)
            {
                case "sponsor" or "sponsor-key" or "etcd":
                    Assert.StartsWith($"{file}:{number}: --embedded starts a sponsor of its own", Refusal(file, "--embedded"), StringComparison.Ordinal);
                    break;
                case "spill-max":
                    GetsAsFarAsTheSponsor(file, "--embedded", "--spill", _directory);
                    break;
                case "embedded":
                    Assert.Contains("no sponsor", Refusal(file), StringComparison.Ordinal);
                    break;
                default:
                    GetsAsFarAsTheSponsor(file, "--embedded");
                    break;
            }
        }
    }

    private static string Shipped => Path.Combine(AppContext.BaseDirectory, "pager.conf");

    /// <summary>The lines of the file of the packages, all of which are comments.</summary>
    private static IReadOnlyList<ConfigurationLine> Commented()
    {
        string text = File.ReadAllText(Shipped);
        ConfigurationName[] known = [.. ConfigurationOption.Of(s_pager).Select(option => new ConfigurationName(option.Name[2..], ConfigurationOption.IsList(option)))];
        Assert.Empty(ConfigurationFile.Parse(Shipped, text, known));
        return ConfigurationFile.Parse(Shipped, CommentedLine().Replace(text, "$1"), known);
    }

    private static int Run(string file, params string[] arguments)
    {
        var root = new RootCommand { s_pager };
        return root.Parse(["pager", "--config", file, .. arguments], new ParserConfiguration { ResponseFileTokenReplacer = null })
            .Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static void GetsAsFarAsTheSponsor(string file, params string[] arguments) =>
        Assert.Throws<GotAsFarAsTheSponsorException>(() => Run(file, arguments));

    private static string Refusal(string file, params string[] arguments)
    {
        CommandException refused = Assert.Throws<CommandException>(() => Run(file, arguments));
        Assert.Equal(ExitStatus.Usage, refused.Status);
        return refused.Message;
    }

    private string Write(string content)
    {
        string path = Path.Combine(_directory, "pager.conf");
        File.WriteAllText(path, content);
        return path;
    }

    [GeneratedRegex(@"\[default[^:]*: ([^\]]*)\]")]
    private static partial Regex DefaultInText();

    [GeneratedRegex("^#(?=[a-z-]+ = )()", RegexOptions.Multiline)]
    private static partial Regex CommentedLine();
}
