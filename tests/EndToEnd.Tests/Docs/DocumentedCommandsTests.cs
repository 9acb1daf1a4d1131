using Hecatonchire.Host;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Docs;

/// <summary>
/// Every command that README, docs and help texts show: run, or looked at as deeply as can be (<see cref="CommandRules"/>). One that no rule has fails, as does a rule that no
/// command has.
/// </summary>
public sealed class DocumentedCommandsTests
{
    private const string ConfigurationStart = "# /etc/heca/sponsor.conf";

    [Fact]
    public void Every_command_that_is_shown_does_what_it_says()
    {
        Capability.RequireZmq();
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        Capability.Require("redis", File.Exists("/usr/bin/redis-server"), "no redis-server: apt-get install redis-server");
        Capability.Require("gcc", File.Exists("/usr/bin/cc"), "no cc: apt-get install gcc");
        ShownBlock[] blocks = [.. Documents().SelectMany(document => ShownCommands.Blocks(document.File, document.Lines))];
        Shown[] commands =
        [
            .. blocks.Where(block => !CommandRules.Languages.Contains(block.Language) && !CommandRules.Pictures.Contains(block.Lines[0]) && block.Lines[0] != ConfigurationStart)
                .SelectMany(ShownCommands.Of),
            .. ShownCommands.Examples(),
        ];
        Assert.True(commands.Length > 50, $"only {commands.Length} commands were found");

        using var world = new CommandWorld(string.Join('\n', blocks.First(block => block.Language == "c").Lines));
        List<string> wrong = [];
        HashSet<CommandRule> used = [];
        Dictionary<string, string?> once = [];
        foreach (Shown shown in commands)
        {
            CommandRule? rule = CommandRules.All.FirstOrDefault(known => known.Matches(shown.Text));
            _ = rule is not null && used.Add(rule);
            string? problem = "no rule says what is done with it";
            string here = rule is null ? "" : world.Substitute(shown.Text);
            if (rule is not null && !(rule.IsOnce && once.TryGetValue(here, out problem)))
            {
                once[here] = problem = Look(world, rule, shown.Text, here);
            }

            if (problem is not null)
            {
                wrong.Add($"{shown.Place}: '{shown.Text}': {problem}");
            }
        }

        ShownBlock file = blocks.Single(block => block.Lines[0] == ConfigurationStart);
        if (world.Run($"heca-sponsor --config {world.WriteFile("sponsor.conf", file.Lines)} --dump-config", 0) is { } refused)
        {
            wrong.Add($"{file.File}:{file.Line}: {refused}");
        }

        wrong.AddRange(CommandRules.All.Where(known => !used.Contains(known)).Select(known => $"no command is '{known.Pattern}' any more"));
        wrong.AddRange(CommandRules.Substitutions.Where(one => !commands.Any(shown => Replaces(one.Pattern, shown.Text))).Select(one => $"no command has '{one.Pattern}' any more"));
        wrong.AddRange(CommandRules.Pictures.Where(first => blocks.All(block => block.Lines[0] != first)).Select(first => $"no block begins with '{first}' any more"));
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void Every_command_and_option_that_is_mentioned_exists()
    {
        List<string> wrong = [];
        HashSet<string> others = [];
        int options = 0;
        foreach (Shown span in Documents().SelectMany(document => ShownCommands.Spans(document.File, document.Lines)))
        {
            if (CommandChecks.Mention(span.Text) is { } problem)
            {
                wrong.Add($"{span.Place}: `{span.Text}`: {problem}");
            }

            if (span.Text.StartsWith("make ", StringComparison.Ordinal) && CommandChecks.Make(span.Text) is { } unmade)
            {
                wrong.Add($"{span.Place}: `{span.Text}`: {unmade}");
            }

            foreach (string option in CommandChecks.OptionsIn(span.Text))
            {
                options++;
                if (CommandRules.OptionsOfOthers.ContainsKey(option))
                {
                    _ = others.Add(option);
                }
                else if (!CommandChecks.Options.Contains(option))
                {
                    wrong.Add($"{span.Place}: `{span.Text}`: '{option}' is an option of neither program");
                }
            }
        }

        wrong.AddRange(CommandRules.OptionsOfOthers.Where(other => !others.Contains(other.Key)).Select(other => $"{other.Key} of {other.Value} is not mentioned any more"));
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(options > 100, $"only {options} options were found");
    }

    /// <summary>What is looked for would be found.</summary>
    [Theory]
    [InlineData("heca run --locale 1GiB -- ./program")]
    [InlineData("heca fly")]
    [InlineData("bin/heca-sponsor --memory 8GiB --colour red")]
    [InlineData("heca segment grow 5f3a")]
    public void What_does_not_parse_is_told(string command) => Assert.NotNull(CommandChecks.Parse(command));

    [Theory]
    [InlineData("heca key new|shew|trust")]
    [InlineData("heca bench WORKLOAD --sistem SYSTEM")]
    [InlineData("heca status --yaml")]
    [InlineData("heca segments")]
    public void What_does_not_exist_is_told(string span) => Assert.NotNull(CommandChecks.Mention(span));

    [Theory]
    [InlineData("make love")]
    [InlineData("make bench BENCH='--sise 256MiB'")]
    public void What_make_does_not_make_is_told(string command) => Assert.NotNull(CommandChecks.Make(command));

    [Fact]
    public void A_block_is_read_line_by_line_without_prompts_and_words_about_it()
    {
        string[] lines = ["Text:", "", "    sponsor#   heca key show   whom it trusts", "    # a remark", "    demander$  heca run -- ./a", "", "```sh", "$ make demo", "```", "- an item", "    of two lines"];
        ShownBlock[] blocks = [.. ShownCommands.Blocks("a.md", lines)];
        Assert.Equal(
            [new Shown("a.md", 3, "heca key show"), new Shown("a.md", 5, "heca run -- ./a"), new Shown("a.md", 8, "make demo")],
            blocks.SelectMany(ShownCommands.Of));
        Assert.DoesNotContain(CommandRules.All, rule => rule.Matches("rm -rf /"));
    }

    /// <summary>What is wrong with a command, in one line; null: nothing. <paramref name="here"/>: as it is run.</summary>
    private static string? Look(CommandWorld world, CommandRule rule, string command, string here) => rule.Treatment switch
    {
        CommandTreatment.Run => CommandChecks.ParseIfOwn(command) ?? world.Run(here, rule.Status),
        CommandTreatment.Serve => CommandChecks.Parse(command) ?? world.Serve(here),
        CommandTreatment.Parse => CommandChecks.Parse(command),
        CommandTreatment.Make => CommandChecks.Make(command),
        _ => CommandChecks.File(rule.About!),
    };

    private static bool Replaces(string pattern, string command) => System.Text.RegularExpressions.Regex.IsMatch(command, pattern);

    private static IEnumerable<(string File, string[] Lines)> Documents() =>
        ShownCommands.Documents.Select(file => (file, File.ReadAllLines(Path.Combine(Programs.Root, file))));
}
