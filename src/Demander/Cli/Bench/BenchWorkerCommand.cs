using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;

namespace Hecatonchire.Cli.Bench;

/// <summary>The child of `heca bench`. Its options were checked by the parent; not for people.</summary>
internal static class BenchWorkerCommand
{
    public static Command Create()
    {
        var kind = new Argument<string>("workload");
        var size = new Option<long>("--size") { Required = true };
        var threads = new Option<int>("--threads") { DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { DefaultValueFactory = _ => 1UL };
        var accesses = new Option<long?>("--accesses");
        var writes = new Option<int>("--writes");
        var passes = new Option<int>("--passes") { DefaultValueFactory = _ => 1 };
        var theta = new Option<double>("--theta") { DefaultValueFactory = _ => WorkloadOptions.ThetaDefault };
        var sparse = new Option<int>("--sparse") { DefaultValueFactory = _ => 1 };
        var pin = new Option<bool>("--pin");
        var touches = new Option<string?>("--touches");
        var memory = new Option<WorkerMemory>("--memory");
        var command = new Command(WorkerProcess.Subcommand, "The side of a benchmark that touches the memory")
        {
            kind, size, threads, seed, accesses, writes, passes, theta, sparse, pin, touches, memory,
        };
        command.Hidden = true;
        command.SetAction(parsed =>
        {
            if (!WorkloadNames.TryParse(parsed.GetValue(kind), out WorkloadKind workload))
            {
                parsed.InvocationConfiguration.Error.WriteLine($"heca {WorkerProcess.Subcommand}: unknown workload");
                return ExitStatus.Usage;
            }

            var options = new WorkloadOptions
            {
                Kind = workload,
                Bytes = parsed.GetValue(size),
                Threads = parsed.GetValue(threads),
                Seed = parsed.GetValue(seed),
                Accesses = parsed.GetValue(accesses),
                WritePercent = parsed.GetValue(writes),
                Passes = parsed.GetValue(passes),
                Theta = parsed.GetValue(theta),
                Sparse = parsed.GetValue(sparse),
                Pin = parsed.GetValue(pin),
                TouchesFile = parsed.GetValue(touches),
            };
            using var worker = new BenchWorker(Console.Out, Console.In);
            return worker.Run(options, parsed.GetValue(memory) switch
            {
                WorkerMemory.Sponsored => static bytes => new SponsoredBenchMemory(bytes),
                WorkerMemory.Local => static bytes => new LocalBenchMemory(bytes),
                _ => static bytes => new SwappedBenchMemory(bytes),
            });
        });
        return command;
    }
}
