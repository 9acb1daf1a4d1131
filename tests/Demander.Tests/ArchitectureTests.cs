using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>The data's way through the pager and the sponsor knows nothing of the control plane and never waits on a lock.</summary>
public partial class ArchitectureTests
{
    private static readonly string[] s_dataPlane =
    [
        "src/Demander/Faults", "src/Demander/Pages", "src/Demander/Prefetch", "src/Demander/Fetch", "src/Demander/Install",
        "src/Demander/Eviction", "src/Demander/Staging", "src/Demander/WriteBack", "src/Demander/Placement", "src/Common/Transport",
    ];

    [Fact]
    public void The_data_plane_uses_no_messaging_no_logging_no_tasks_and_no_locks()
    {
        IEnumerable<string> files = s_dataPlane
            .SelectMany(folder => Directory.GetFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Concat(Directory.GetFiles(Path.Combine(Root(), "src/Demander/Pager"), "PagerCore*.cs"));
        string[] offences = [.. files.SelectMany(file => File.ReadLines(file)
            .Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal) && Forbidden().IsMatch(line))
            .Select(line => $"{Path.GetFileName(file)}: {line.Trim()}"))];

        Assert.Empty(offences);
        Assert.True(files.Count() > 30, "the folders have moved: this test looks at nothing");
    }

    [GeneratedRegex(@"Hecatonchire\.Control|using MessagePack|Microsoft\.Extensions|\bTask\b|\bawait\b|\block \(|Monitor\.|Console\.|ILogger|\.ToList\(|\.ToArray\(")]
    private static partial Regex Forbidden();

    private static string Root([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../.."));
}
