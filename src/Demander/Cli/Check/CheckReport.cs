using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hecatonchire.Host;
using Spectre.Console;

namespace Hecatonchire.Cli.Check;

/// <summary>The three forms of the result: a table on a terminal, aligned text elsewhere, JSON for programs.</summary>
internal static class CheckReport
{
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },

        // The output is read by people too, and never placed in a web page: commands keep their quotes and ampersands.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static bool IsUsable(IEnumerable<HostProbe> probes) => probes.All(p => p.Status != ProbeStatus.Fail);

    /// <summary><c>{"ok":true,"probes":[{"name","status","found","meaning","remedy"}]}</c> on one line.</summary>
    public static void WriteJson(TextWriter output, IReadOnlyList<HostProbe> probes) =>
        output.WriteLine(JsonSerializer.Serialize(new { Ok = IsUsable(probes), Probes = probes }, JsonOptions));

    public static void WritePlain(TextWriter output, IReadOnlyList<HostProbe> probes)
    {
        int width = probes.Max(p => p.Name.Length);
        foreach (HostProbe probe in probes)
        {
            output.WriteLine($"{Word(probe.Status),-4}  {probe.Name.PadRight(width)}  {probe.Found}; {probe.Meaning}");
            if (probe.Remedy is not null)
            {
                output.WriteLine($"{new string(' ', width + 8)}mend: {probe.Remedy}");
            }
        }

        output.WriteLine(Verdict(probes));
    }

    public static void WriteTable(IReadOnlyList<HostProbe> probes)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns("", "what", "found", "meaning");
        foreach (HostProbe probe in probes)
        {
            // Text, not markup: what was found may hold brackets.
            table.AddRow(new Text(Word(probe.Status), Colour(probe.Status)), new Text(probe.Name), new Text(probe.Found), new Text(probe.Meaning));
        }

        TextConsole.Create(Console.Out).Write(table);

        // Below the table and unwrapped, so that a command can be copied.
        foreach (HostProbe probe in probes.Where(p => p.Remedy is not null))
        {
            Console.Out.WriteLine($"to mend {probe.Name}: {probe.Remedy}");
        }

        Console.Out.WriteLine(Verdict(probes));
    }

    private static string Verdict(IReadOnlyList<HostProbe> probes) =>
        IsUsable(probes) ? "This host can run a pager." : "This host cannot run a pager: mend what says fail.";

    private static string Word(ProbeStatus status) => status switch
    {
        ProbeStatus.Ok => "ok",
        ProbeStatus.Warn => "warn",
        _ => "fail",
    };

    private static Style Colour(ProbeStatus status) => new(status switch
    {
        ProbeStatus.Ok => Color.Green,
        ProbeStatus.Warn => Color.Yellow,
        _ => Color.Red,
    });
}
