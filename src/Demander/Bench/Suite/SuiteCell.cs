using System.Globalization;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Suite;

/// <summary>One system at one row's work: a command, run once per round.</summary>
internal sealed record SuiteCell(SuiteRow Row, string System)
{
    /// <summary>Says what is measured: rows that share a cell have it run once, and results find it again.</summary>
    public string Id => (System, Row.Workload.Kind) switch
    {
        (SuiteSystems.Floor, WorkloadKind.Scan) => string.Create(CultureInfo.InvariantCulture, $"scan/window-{Row.Window}/floor"),
        (SuiteSystems.Floor, _) => $"{Row.AmountName}/floor",
        _ when System == SuiteSystems.Local => $"{Row.AmountName}/local",
        (_, WorkloadKind.Fault) => $"{Row.AmountName}/{Row.Local}/{System}",
        _ when SuiteSystems.IsHeca(System) => $"{Row.AmountName}/{Row.Local}/{Row.Prefetch}/{System}",
        _ => $"{Row.AmountName}/{Row.Local}/{System}",
    };

    /// <summary>The program's command line. <paramref name="amount"/>: accesses, or passes of a scan; meaningless to quicksort.</summary>
    public string[] Arguments(SuiteSettings settings, long amount)
    {
        WorkloadOptions workload = Row.Workload;
        if (System == SuiteSystems.Floor)
        {
            return FloorProcess.Arguments(workload.Kind == WorkloadKind.Scan ? workload : workload with { Accesses = amount }, Row.Window);
        }

        string system = SuiteSystems.IsHeca(System) ? SuiteSystems.Heca : System;
        List<string> arguments = ["bench", workload.Kind.Name(), "--system", system, "--size", settings.Size.ToString(), "--seed", Text(settings.Seed)];
        if (System != SuiteSystems.Local)
        {
            arguments.AddRange(["--local", Row.Local]);
        }

        if (SuiteSystems.IsHeca(System))
        {
            arguments.AddRange(["--embedded", "--transport", System == SuiteSystems.HecaRdma ? "rdma" : "tcp"]);
            if (workload.Kind != WorkloadKind.Fault)
            {
                arguments.AddRange(["--prefetch", Row.Prefetch]);
            }
        }

        if (settings.SwapDirectory is { } directory && SuiteSystems.HasFile(System))
        {
            arguments.AddRange(["--swap-dir", directory]);
        }

        switch (workload.Kind)
        {
            case WorkloadKind.Fault:
                arguments.AddRange(["--accesses", Text(amount)]);
                break;
            case WorkloadKind.Scan:
                arguments.AddRange(["--passes", Text(amount)]);
                break;
            case WorkloadKind.Quicksort:
                arguments.AddRange(["--threads", Text(workload.Threads)]);
                break;
            default:
                arguments.AddRange(["--threads", Text(workload.Threads), "--writes", Text(workload.WritePercent), "--accesses", Text(amount)]);
                break;
        }

        return [.. arguments, "--json", "--progress"];
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
