using System.Text.RegularExpressions;
using Hecatonchire.Configuration;
using Hecatonchire.Sponsor.Cli;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Hecatonchire.Tests.Cli;

public sealed class SponsorOptionsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-options-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_defaults_are_loopback_and_the_documented_ports()
    {
        SponsorOptions options = Validate(["memory=8GiB"]);
        Assert.Equal("127.0.0.1", options.Listen.ToString());
        Assert.Equal(7400, options.Port);
        Assert.Equal(7401, options.DataPort);
        Assert.Equal(8L << 30, options.Memory.Bytes);
        Assert.Equal(TimeSpan.FromSeconds(30), options.GoneAfter);
        Assert.Equal(LogLevel.Warning, options.LogLevel);
        Assert.Null(options.Metrics);
        Assert.False(options.Announce || options.ExitWithStdin);
    }

    [Fact]
    public void The_command_line_wins_over_the_environment_and_that_over_the_file()
    {
        string file = WriteFile("# ours\nmemory = 1GiB\nport = 1000\ndata-port = 1001\ngone-after = 5\nlabel = rack=a\nlabel = row=3\nannounce = true");
        Settings settings = Resolve(
            ["port=3000"],
            new() { ["HECA_SPONSOR_PORT"] = "2000", ["HECA_SPONSOR_DATA_PORT"] = "2001", ["HECA_SPONSOR_CONFIG"] = file });
        SponsorOptions options = SponsorOptionsValidator.Validate(settings);
        Assert.Equal(3000, options.Port);
        Assert.Equal(2001, options.DataPort);
        Assert.Equal(TimeSpan.FromSeconds(5), options.GoneAfter);
        Assert.True(options.Announce);
        Assert.Equal("rack=a,row=3", settings[SettingDefinition.Label].Value);

        using StringWriter dump = new();
        ConfigDump.Write(settings, dump);
        string[] lines = dump.ToString().Split('\n');
        Assert.Contains(lines, line => line.StartsWith("port = 3000 ", StringComparison.Ordinal) && line.EndsWith("# command line", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("data-port = 2001 ", StringComparison.Ordinal) && line.EndsWith("# HECA_SPONSOR_DATA_PORT", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("memory = 1GiB ", StringComparison.Ordinal) && line.EndsWith($"# {file}:2", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("listen = 127.0.0.1 ", StringComparison.Ordinal) && line.EndsWith("# default", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("memory=lots", "--memory lots", "size")]
    [InlineData("memory=1MiB", "--memory 1MiB", "64MiB")]
    [InlineData("memory=-8GiB", "--memory -8GiB", "size")]
    [InlineData("port=-1", "--port -1", "0 to 65535")]
    [InlineData("port=65536", "--port 65536", "0 to 65535")]
    [InlineData("data-port=x", "--data-port x", "0 to 65535")]
    [InlineData("data-port=7400", "--data-port 7400", "differ")]
    [InlineData("listen=localhost", "--listen localhost", "IP address")]
    [InlineData("gone-after=0", "--gone-after 0", "1 to 86400 seconds")]
    [InlineData("metrics=x:y", "--metrics x:y", "HOST:PORT")]
    [InlineData("metrics=127.0.0.1:99999", "--metrics 127.0.0.1:99999", "HOST:PORT")]
    [InlineData("log-level=loud", "--log-level loud", "warning")]
    [InlineData("log-level=3", "--log-level 3", "warning")]
    [InlineData("announce=perhaps", "--announce perhaps", "true or false")]
    public void A_bad_value_is_named_with_its_option_and_the_rule(string setting, string named, string rule)
    {
        UsageException failure = Assert.Throws<UsageException>(() => Validate(["memory=8GiB", setting]));
        Assert.Contains(named, failure.Message, StringComparison.Ordinal);
        Assert.Contains(rule, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_value_is_named_with_where_it_came_from()
    {
        UsageException failure = Assert.Throws<UsageException>(() => SponsorOptionsValidator.Validate(
            Resolve(["memory=8GiB"], new() { ["HECA_SPONSOR_PORT"] = "tcp://10.0.0.1:7400" })));
        Assert.Contains("from HECA_SPONSOR_PORT", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_memory_the_message_says_how_to_give_it()
    {
        UsageException failure = Assert.Throws<UsageException>(() => Validate([]));
        Assert.Contains("--memory 8GiB", failure.Message, StringComparison.Ordinal);
        Assert.Contains("HECA_SPONSOR_MEMORY", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("memroy = 1GiB", "FILE:1: 'memroy' is no option; 'memory' is")]
    [InlineData("{ \"memory\": \"1GiB\" }", "FILE:1: '{ \"memory\": \"1GiB\" }' has no '=': a line is `name = value`")]
    [InlineData("memory = 1GiB\n\nmemory = 2GiB", "FILE:3: 'memory' is there already, on line 1, and may not be repeated")]
    [InlineData("# much\nmemory = lots", "--memory lots (from FILE:2): must be a size of at least one slab, 64MiB, such as 8GiB")]
    [InlineData("memory = 1GiB\nport = 7 400", "--port 7 400 (from FILE:2): must be a whole number from 0 to 65535 (0 takes any)")]
    [InlineData("memory = 1GiB\nannounce = yes", "--announce yes (from FILE:2): must be true or false")]
    [InlineData("memory = 1GiB\nlabel = rack=a\nlabel = rack", "--label rack=a,rack (from FILE:2,3): 'rack' must be NAME=VALUE")]
    [InlineData("port = 7000\nmemory = 1GiB\ndata-port = 7000", "--data-port 7000 (from FILE:3): must differ from --port 7000 (from FILE:1)")]
    [InlineData("port = 7401\nmemory = 1GiB", "--data-port 7401 (from default): must differ from --port 7401 (from FILE:1)")]
    public void A_bad_line_is_named_with_file_and_line(string content, string message)
    {
        string file = WriteFile(content);
        UsageException failure = Assert.Throws<UsageException>(() => SponsorOptionsValidator.Validate(Resolve([], new() { ["HECA_SPONSOR_CONFIG"] = file })));
        Assert.StartsWith(message, failure.Message.Replace(file, "FILE", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void What_dump_config_prints_is_a_configuration()
    {
        Settings settings = Resolve(["memory=1GiB", "label=rack=a,row=3", "metrics=9400"], []);
        using StringWriter dump = new();
        ConfigDump.Write(settings, dump);
        Settings again = Resolve([], new() { ["HECA_SPONSOR_CONFIG"] = WriteFile(dump.ToString()) });
        Assert.All(SettingDefinition.All, definition => Assert.Equal(settings[definition].Value, again[definition].Value));
    }

    [Fact]
    public void Every_option_is_in_the_file_of_the_packages_with_its_default()
    {
        IReadOnlyList<ConfigurationLine> lines = Commented(File.ReadAllText(Shipped));
        Assert.Equal(SettingDefinition.All.Select(definition => definition.Name), lines.Select(line => line.Name));
        foreach ((SettingDefinition definition, ConfigurationLine line) in SettingDefinition.All.Zip(lines))
        {
            Assert.Equal(definition.Example ?? definition.Default, line.Value);

            // As nobody's environment has it.
            Assert.True(definition.Example is null || definition.Default is null || definition.DefaultText!.StartsWith(definition.Example, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Each_line_of_the_file_of_the_packages_is_right_once_it_is_no_comment()
    {
        string text = File.ReadAllText(Shipped);
        foreach (ConfigurationLine line in Commented(text))
        {
            string[] one = text.Split('\n');
            one[line.Line - 1] = one[line.Line - 1][1..];
            string file = WriteFile(string.Join('\n', one));
            Settings settings = Resolve(line.Name == "memory" ? [] : ["memory=1GiB"], new() { ["HECA_SPONSOR_CONFIG"] = file });
            Setting given = settings[SettingDefinition.All.Single(definition => definition.Name == line.Name)];
            Assert.Equal(new Setting(line.Value, $"{file}:{line.Line}"), given);
            _ = SponsorOptionsValidator.Validate(settings);
        }
    }

    [Fact]
    public void A_file_that_is_missing_is_an_error()
    {
        Assert.Throws<UsageException>(() => Resolve([], new() { ["HECA_SPONSOR_CONFIG"] = Path.Combine(_directory, "none") }));
    }

    [Theory]
    [InlineData("127.0.0.1:9400", "127.0.0.1", 9400)]
    [InlineData("[::1]:9400", "::1", 9400)]
    [InlineData("9400", "127.0.0.1", 9400)]
    public void A_metrics_address_has_host_and_port(string text, string host, int port)
    {
        SponsorOptions options = Validate(["memory=1GiB", $"metrics={text}"]);
        Assert.Equal(host, options.Metrics?.Address.ToString());
        Assert.Equal(port, options.Metrics?.Port);
    }

    private static string Shipped => Path.Combine(AppContext.BaseDirectory, "sponsor.conf");

    /// <summary>The lines of the file of the packages, all of which are comments.</summary>
    private static IReadOnlyList<ConfigurationLine> Commented(string text)
    {
        ConfigurationName[] known = [.. SettingDefinition.All.Select(definition => new ConfigurationName(definition.Name, definition.IsList))];
        Assert.Empty(ConfigurationFile.Parse(Shipped, text, known));
        return ConfigurationFile.Parse(Shipped, Regex.Replace(text, "^#(?=[a-z-]+ = )", "", RegexOptions.Multiline), known);
    }

    private static SponsorOptions Validate(string[] commandLine) => SponsorOptionsValidator.Validate(Resolve(commandLine, []));

    // The last one wins, so that a test can put a bad value after a good one.
    private static Settings Resolve(string[] commandLine, Dictionary<string, string> environment) => Settings.Resolve(
        definition => commandLine.LastOrDefault(setting => setting.StartsWith($"{definition.Name}=", StringComparison.Ordinal))?.Split('=', 2)[1],
        environment.GetValueOrDefault,
        null);

    private string WriteFile(string content)
    {
        string path = Path.Combine(_directory, "sponsor.conf");
        File.WriteAllText(path, content);
        return path;
    }
}
