using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;
using Spectre.Console;

namespace Hecatonchire.Cli.Bench;

/// <summary>`heca bench network`. Exit status: 0 verified, 1 not or failed, 2 usage, 3 a host that cannot, 128 + signal when interrupted.</summary>
internal static class NetworkCommand
{
    private const string Details =
        "Pages between here and a sponsor without pager or program: what `heca bench fault` and `heca bench scan` can come near to at best. It\n"
        + "borrows 64 MiB for the time. Each of its three measurements takes --seconds: writes and reads of 64 pages, 16 in flight; reads of one\n"
        + "page, one at a time.\n\n"
        + "Examples:\n"
        + "  heca bench network --sponsor host:7400\n"
        + "  heca bench network --embedded --transport rdma --json\n";

    private const int SecondsMax = 3600;

    public static Command Create()
    {
        TransportOption transport = TransportOption.Create();
        var seconds = new Option<int>("--seconds") { HelpName = "N", Description = "Time for each measurement", DefaultValueFactory = _ => 2 };
        var json = new Option<bool>("--json") { Description = "Print one JSON object instead of a table" };
        var sponsor = new SponsorOptions();
        var command = new DetailedCommand("network", "The data plane alone: the latency of one page and the bandwidth of many, without a program", Details) { transport, seconds, json };
        sponsor.AddTo(command);
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            var display = new ProgressDisplay(parsed.InvocationConfiguration.Error, ProgressDisplay.ModeFor(plain: false));
            return Interruption.Guard(display, token =>
            {
                int each = parsed.GetValue(seconds);
                if (each is < 1 or > SecondsMax)
                {
                    throw new CommandException($"--seconds: {each} is not from 1 to {SecondsMax}", ExitStatus.Usage);
                }

                NetworkResult result = Run(sponsor.Resolve(parsed), transport.Read(parsed), TimeSpan.FromSeconds(each), token);
                Write(output, result, parsed.GetValue(json));
                return result.Verified ? ExitStatus.Done : HecaCommandLine.Fail(ExitStatus.Failed, "bench network: a page that was read is not what was written");
            });
        });
        return command;
    }

    private static NetworkResult Run(Lending.Borrowing? given, TransportPreference transport, TimeSpan each, CancellationToken cancellation)
    {
        using ILoggerFactory loggers = ConsoleLogging.Create(LogLevel.Warning);
        using EmbeddedSponsor? embedded = given is null ? EmbeddedSponsor.Start(NetworkRun.SlabBytes, transport) : null;
        return NetworkRun.Run(given?.Sponsors[0] ?? embedded!.Endpoint, given?.Key, transport, each, loggers, cancellation);
    }

    private static void Write(TextWriter output, NetworkResult result, bool json)
    {
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(result, BenchJson.Report));
            return;
        }

        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumn("");
        table.AddColumn(new TableColumn(result.Benchmark).RightAligned());
        LatencySummary page = result.PageUs;
        table.AddRow("transport", result.Transport);
        table.AddRow("chosen because", result.TransportReason.EscapeMarkup());
        table.AddRow("one page p50 / p99 / max", string.Create(CultureInfo.InvariantCulture, $"{page.P50:0.0} / {page.P99:0.0} / {page.Max:0} us"));
        table.AddRow("pages/s read", Rate(result.ReadPagesPerS, result));
        table.AddRow("pages/s written", Rate(result.WritePagesPerS, result));
        table.AddRow("verified", result.Verified ? "yes" : "NO");
        TextConsole.Create(output).Write(table);
    }

    private static string Rate(double pagesPerS, NetworkResult result) => string.Create(
        CultureInfo.InvariantCulture, $"{pagesPerS:#,0} ({pagesPerS * 4096 / 1e6:#,0} MB/s; {result.RunPages} a request, {result.RequestsInFlight} in flight)");
}
