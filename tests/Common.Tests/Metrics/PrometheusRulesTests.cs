using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

/// <summary>deploy/prometheus, by Prometheus' own judge. That the figures exist is EndToEnd.Tests' to see, with what real daemons serve.</summary>
public sealed partial class PrometheusRulesTests : IDisposable
{
    private const string Rules = "heca.rules.yml", RulesTest = "heca.rules.test.yml";

    private readonly string _copy = Directory.CreateTempSubdirectory("heca-test-rules-").FullName;

    public PrometheusRulesTests()
    {
        foreach (string file in Directory.GetFiles(Folder(), "*.yml"))
        {
            File.Copy(file, Path.Combine(_copy, Path.GetFileName(file)));
        }
    }

    public void Dispose() => Directory.Delete(_copy, recursive: true);

    [Fact]
    public void Promtool_accepts_the_configuration_and_the_rules_do_what_their_tests_say()
    {
        AssertGood(Promtool.Run("", "check", "config", Path.Combine(_copy, "heca.yml")));
        AssertGood(Promtool.Run("", "check", "rules", "--lint=all", "--lint-fatal", Path.Combine(_copy, Rules)));
        AssertGood(Promtool.Run("", "test", "rules", Path.Combine(_copy, RulesTest)));
    }

    /// <summary>The control: with a rule that never holds the tests fail. So each rule has one that sees it hold.</summary>
    [Fact]
    public void Each_rule_is_seen_to_hold_by_a_test()
    {
        string rules = File.ReadAllText(Path.Combine(_copy, Rules));
        MatchCollection all = Expression().Matches(rules);
        Assert.InRange(all.Count, 15, 100);
        foreach (Match one in all)
        {
            Group expression = one.Groups["expr"];
            File.WriteAllText(Path.Combine(_copy, Rules), $"{rules[..expression.Index]}vector(1) > 2{rules[(expression.Index + expression.Length)..]}");
            (int status, string said) = Promtool.Run("", "test", "rules", Path.Combine(_copy, RulesTest));
            Assert.True(status != 0, $"no test has {one.Groups["name"]} hold: {said}");
            Assert.Contains("FAILED", said, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Each_alert_says_how_urgent_it_is_and_what_it_means()
    {
        string[] rules = [.. File.ReadAllText(Path.Combine(_copy, Rules)).Split("- alert: ").Skip(1)];
        Assert.All(rules, rule =>
        {
            Assert.Matches(@"labels: \{severity: (page|ticket)\}", rule);
            Assert.Matches("summary: \".*\\{\\{ \\$labels\\.instance \\}\\}", rule);
            Assert.Matches("description: \".{40,}\"", rule);
        });
    }

    private static void AssertGood((int Status, string Said) promtool) => Assert.True(promtool.Status == 0, promtool.Said);

    /// <summary>A rule's name and its expression, on one line or folded over the more indented ones that follow.</summary>
    [GeneratedRegex(@"- (alert|record): (?<name>\S+)\n +expr: (?<expr>>-(\n {10}.*)+|.+)")]
    private static partial Regex Expression();

    private static string Folder([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../../deploy/prometheus"));
}
