using System.CommandLine;
using Hecatonchire.Bench.Advise;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Bench;
using Xunit;

namespace Hecatonchire.Tests.Bench.Advise;

public sealed class AdviseOptionsTests
{
    [Theory]
    [InlineData("", "no program to run; usage: heca bench advise [options] -- PROGRAM [ARGS]")]
    [InlineData("sh", "'sh' is no option of heca bench advise; the program follows --; usage: heca bench advise [options] -- PROGRAM [ARGS]")]
    [InlineData("--budgets 50,none -- sh", "--budgets: '50,none' is not a list of percentages, such as 100,50,25")]
    [InlineData("--slowdown 0.5 -- sh", "--slowdown: 0.5 is not from 1 to 1000")]
    [InlineData("--slowdown 3 --slowdown-max 2 -- sh", "--slowdown-max: 2 is not from --slowdown, 3, to 1000")]
    [InlineData("--runs 0 -- sh", "--runs: 0 is not from 1 to 100")]
    [InlineData("--report table.txt -- sh", "--report: 'table.txt' ends neither in .html nor in .md")]
    [InlineData("--report /no/such/report.md -- sh", "--report: there is no directory /no/such")]
    [InlineData("--input /no/such -- sh", "--input: /no/such cannot be read: there is no such file")]
    [InlineData("--input / -- sh", "--input: / is a directory")]
    [InlineData("--memory 1GiB --sponsor a:1 --sponsor-key 0123456789012345678901234567890123456789 -- sh", "--memory is what an embedded sponsor offers, and a sponsor is named")]
    [InlineData("--memory much -- sh", "--memory 'much': write a size, such as 2GiB")]
    [InlineData("--prefetch far -- sh", "--prefetch 'far': write none, window or trend")]
    [InlineData("--eviction lru -- sh", "--eviction 'lru': write one of")]
    [InlineData("--transport pigeon -- sh", "--transport 'pigeon': write")]
    [InlineData("--replicas 2 -- sh", "--replicas 2 takes as many sponsors, and there is 1: repeat --sponsor")]
    [InlineData("--embedded --sponsor a:1 -- sh", "--embedded starts a sponsor of its own")]
    public void Bad_usage_is_told_before_anything_is_run(string arguments, string message)
    {
        CommandException error = Assert.Throws<CommandException>(() => Read(arguments));
        Assert.Equal(2, error.Status);
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void There_has_to_be_such_a_program() =>
        Assert.Equal(127, Assert.Throws<CommandException>(() => Read("-- /no/such/program")).Status);

    [Fact]
    public void Defaults()
    {
        AdviceSettings settings = Read("-- sh -c true").Settings;
        Assert.EndsWith("/sh", settings.Program, StringComparison.Ordinal);
        Assert.Equal(["-c", "true"], settings.Arguments);
        Assert.Equal([115, 100, 75, 50, 33, 25, 20], settings.Percents);
        Assert.Equal((1.1, 10.0, 3, 0), (settings.Slowdown, settings.SlowdownMax, settings.Runs, settings.Halvings));
        Assert.Equal(("/dev/null", true, null), (settings.Input, settings.IsEmbedded, settings.EmbeddedBytes));
        Assert.Empty(settings.RunOptions);
    }

    /// <summary>What is for `heca run` is given on as it was written, and only that.</summary>
    [Theory]
    [InlineData("--runs 2 --precise --prefetch window --follow-children -- sh", true, "--follow-children --prefetch window")]
    [InlineData("--embedded --memory 1GiB --spill /tmp --eviction fifo -- sh", true, "--eviction fifo --spill /tmp")]
    [InlineData("--sponsor a:1 --sponsor b:2 --sponsor-key 0123456789012345678901234567890123456789 --replicas 2 --slowdown 2 -- sh --local 1", false,
        "--sponsor a:1 --sponsor b:2 --sponsor-key 0123456789012345678901234567890123456789 --replicas 2")]
    public void Options_of_run_are_given_on(string arguments, bool isEmbedded, string given)
    {
        AdviceSettings settings = Read(arguments).Settings;
        Assert.Equal(isEmbedded, settings.IsEmbedded);
        Assert.Equal(given, string.Join(' ', settings.RunOptions));
    }

    private static AdviseRequest Read(string arguments)
    {
        var command = new Command("advise");
        var options = new AdviseOptions();
        options.AddTo(command);
        ParseResult parsed = command.Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Empty(parsed.Errors);
        return options.Read(parsed);
    }
}
