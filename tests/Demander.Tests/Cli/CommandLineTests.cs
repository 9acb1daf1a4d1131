using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>Bad usage is exit status 2 and one line that says what is wrong and what would be right.</summary>
public sealed class CommandLineTests
{
    private const string Key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    [Theory]
    [InlineData("no command given")]
    [InlineData("'bogus' is no command", "bogus")]
    [InlineData("'--bogus' is no option", "--bogus")]
    [InlineData("'--bogus' is no option", "check", "--bogus")]
    [InlineData("usage: heca run [options] -- PROGRAM [ARGS]", "run")]
    [InlineData("usage: heca run [options] -- PROGRAM [ARGS]", "run", "--embedded")]
    [InlineData("usage: heca run [options] -- PROGRAM [ARGS]", "run", "--embedded", "--")]
    [InlineData("no sponsor", "run", "--", "true")]
    [InlineData("exclude each other", "run", "--embedded", "--sponsor", "127.0.0.1:7400", "--", "true")]
    [InlineData("needs --embedded", "run", "--memory", "1GiB", "--sponsor", "127.0.0.1:7400", "--", "true")]
    [InlineData("'--bogus' is no option of heca run", "run", "--embedded", "--bogus", "--", "true")]
    [InlineData("'program' is no option of heca run; the program follows --", "run", "--embedded", "program")]
    [InlineData("--local '12'", "run", "--embedded", "--local", "12", "--", "true")]
    [InlineData("--local '5:4'", "run", "--embedded", "--local", "5:4", "--", "true")]
    [InlineData("--memory 'much'", "run", "--embedded", "--memory", "much", "--", "true")]
    [InlineData("--prefetch 'all': write none, window or trend", "run", "--embedded", "--prefetch", "all", "--", "true")]
    [InlineData("--prefetch '1'", "run", "--embedded", "--prefetch", "1", "--", "true")]
    [InlineData("--eviction 'lru': write one of fifo|s3-fifo|sieve|behind-stream", "run", "--embedded", "--eviction", "lru", "--", "true")]
    [InlineData("--transport 'pigeon': write auto, rdma or tcp", "run", "--embedded", "--transport", "pigeon", "--", "true")]
    [InlineData("--stop-after '-1'", "run", "--embedded", "--stop-after", "-1", "--", "true")]
    [InlineData("--log-level 'loud'", "run", "--embedded", "--log-level", "loud", "--", "true")]
    [InlineData("--metrics: '127.0.0.1:x'", "run", "--embedded", "--metrics", "127.0.0.1:x", "--", "true")]
    [InlineData("--sponsor 'nowhere'", "run", "--sponsor", "nowhere", "--", "true")]
    [InlineData("--sponsor '10.0.0.2:0'", "run", "--sponsor", "10.0.0.2:0", "--", "true")]
    [InlineData("--sponsor '10.0.0.2:65536'", "run", "--sponsor", "10.0.0.2:65536", "--", "true")]
    [InlineData("--sponsor-key '/nonexistent/key'", "run", "--sponsor", "10.0.0.2:7400", "--sponsor-key", "/nonexistent/key", "--", "true")]
    [InlineData("holds no public key", "run", "--sponsor", "10.0.0.2:7400", "--sponsor-key", "/etc/hostname", "--", "true")]
    public void Bad_usage_is_one_line_and_status_2(string said, params string[] arguments) =>
        Assert.Contains(said, HecaProcess.RunToError(2, arguments), StringComparison.Ordinal);

    [Fact]
    public void The_key_comes_from_the_environment_where_the_option_does_not_give_it()
    {
        string line = HecaProcess.RunToError(
            new Dictionary<string, string?> { ["HECA_SPONSOR_KEY"] = "short" }, 2, "run", "--sponsor", "10.0.0.2:7400", "--", "true");
        Assert.Contains("HECA_SPONSOR_KEY 'short' is neither a key", line, StringComparison.Ordinal);

        // The option wins: what is wrong next is the program.
        line = HecaProcess.RunToError(
            new Dictionary<string, string?> { ["HECA_SPONSOR_KEY"] = "short" },
            127, "run", "--sponsor", "10.0.0.2:7400", "--sponsor-key", Key, "--", "no-such-program");
        Assert.Contains("no-such-program", line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_program_that_is_not_there_is_127_and_one_that_cannot_be_executed_126()
    {
        Assert.Contains("not in PATH", HecaProcess.RunToError(127, "run", "--embedded", "--", "no-such-program"), StringComparison.Ordinal);
        Assert.Contains("no such file", HecaProcess.RunToError(127, "run", "--embedded", "--", "/nonexistent/program"), StringComparison.Ordinal);
        Assert.Contains("not an executable file", HecaProcess.RunToError(126, "run", "--embedded", "--", "/etc/passwd"), StringComparison.Ordinal);
        Assert.Contains("not an executable file", HecaProcess.RunToError(126, "run", "--embedded", "--", "/etc"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("heca run --embedded", "run", "--help")]
    [InlineData("heca run --sponsor", "--help")]
    [InlineData("0.1.0", "--version")]
    public void Help_and_version_go_to_standard_output(string said, params string[] arguments)
    {
        (int status, string output, string error) = HecaProcess.Run(new Dictionary<string, string?>(), arguments);
        Assert.Equal(0, status);
        Assert.Contains(said, output, StringComparison.Ordinal);
        Assert.Empty(error);
    }
}
