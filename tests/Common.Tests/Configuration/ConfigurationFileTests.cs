using Hecatonchire.Configuration;
using Xunit;

namespace Hecatonchire.Tests.Configuration;

public sealed class ConfigurationFileTests : IDisposable
{
    private static readonly ConfigurationName[] s_known = [new("port", false), new("data-port", false), new("label", true), new("keys", false)];

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-configuration-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Lines_are_names_and_values_and_comments_are_left_out()
    {
        const string Text = "# comment\n\n  port = 7400\r\n\tdata-port=7401 # why\nlabel = rack=a\nlabel = row = 3\nkeys = #a b#c#d # why # not\n #port = 1";
        Assert.Equal(
            [new("port", "7400", 3), new("data-port", "7401", 4), new("label", "rack=a", 5), new("label", "row = 3", 6), new("keys", "#a b#c#d", 7)],
            ConfigurationFile.Parse("f", Text, s_known));
    }

    [Theory]
    [InlineData("prot = 1", "f:1: 'prot' is no option; 'port' is")]
    [InlineData("\ndata_port = 1", "f:2: 'data_port' is no option; 'data-port' is")]
    [InlineData("--port = 1", "f:1: '--port' is no option; 'port' is")]
    [InlineData("frobnicate = 1", "f:1: 'frobnicate' is no option; there are port, data-port, label, keys")]
    [InlineData("= 1", "f:1: '' is no option; there are port, data-port, label, keys")]
    [InlineData("# x\n\nport 7400", "f:3: 'port 7400' has no '=': a line is `name = value`")]
    [InlineData("{ \"port\": 7400 }", "f:1: '{ \"port\": 7400 }' has no '=': a line is `name = value`")]
    [InlineData("port =", "f:1: 'port' has no value: leave the line out for its default")]
    [InlineData("port = # 7400", "f:1: 'port' has no value: leave the line out for its default")]
    [InlineData("port = 1\nlabel = a=b\nport = 2", "f:3: 'port' is there already, on line 1, and may not be repeated")]
    [InlineData("keys = a\0b", "f:1: has a control character in it")]
    public void What_is_no_setting_is_one_line_with_file_and_line(string text, string message) =>
        Assert.Equal(message, Assert.Throws<ConfigurationException>(() => ConfigurationFile.Parse("f", text, s_known)).Message);

    [Fact]
    public void A_file_that_cannot_be_one_is_said_by_its_name()
    {
        string path = Path.Combine(_directory, "c.conf");
        Assert.StartsWith($"{path}: cannot be read: ", Failure(path), StringComparison.Ordinal);
        Assert.StartsWith($"{_directory}: cannot be read: ", Failure(_directory), StringComparison.Ordinal);
        Assert.Equal("/dev/zero: larger than 1048576 bytes, so it is no configuration file", Failure("/dev/zero"));
        File.WriteAllBytes(path, [0xff, 0xfe, (byte)'=']);
        Assert.Equal($"{path}: is not text (UTF-8), so it is no configuration file", Failure(path));
        File.WriteAllText(path, "port = 1\n");
        Assert.Equal([new("port", "1", 1)], ConfigurationFile.Read(path, s_known));
        Assert.Equal([], ConfigurationFile.Read("/dev/null", s_known));
    }

    private static string Failure(string path) => Assert.Throws<ConfigurationException>(() => ConfigurationFile.Read(path, s_known)).Message;
}
