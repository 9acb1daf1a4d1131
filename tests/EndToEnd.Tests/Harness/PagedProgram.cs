using System.Diagnostics;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hecatonchire.Tests.Harness;

/// <summary>A pager of this process and the programs that are run under it.</summary>
internal sealed class PagedProgram : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly string _folder = Directory.CreateTempSubdirectory("heca-test-").FullName;

    public PagedProgram(SponsorEndpoint sponsor, string local, PrefetchKind prefetch = PrefetchKind.Trend, TimeSpan? stopAfter = null,
        EvictionKind eviction = EvictionKinds.Default)
        : this(Borrowing.From(sponsor), local, prefetch, stopAfter, eviction)
    {
    }

    public PagedProgram(Borrowing borrowing, string local, PrefetchKind prefetch = PrefetchKind.Trend, TimeSpan? stopAfter = null,
        EvictionKind eviction = EvictionKinds.Default)
    {
        Xunit.Assert.True(LocalBudget.TryParse(local, out LocalBudget budget));
        Host = PagerHost.Start(
            new PagerOptions
            {
                Local = budget,
                Prefetch = prefetch,
                Eviction = eviction,
                Borrowing = borrowing,
                SocketPath = Path.Combine(_folder, "pager.sock"),
                StopProgramAfter = stopAfter ?? TimeSpan.FromSeconds(30),
            },
            NullLoggerFactory.Instance);
    }

    public PagerHost Host { get; }

    /// <summary>Starts a program beside the tests with HECA_SOCKET set.</summary>
    public Process Start(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        string path = Path.IsPathRooted(program) ? program : Path.Combine(AppContext.BaseDirectory, program);
        var start = new ProcessStartInfo(path) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment["HECA_SOCKET"] = Host.SocketPath;
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    /// <summary>Runs a program to its end; fails the test when that does not come.</summary>
    public (int ExitCode, string Output, string Error) Run(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        using Process process = Start(program, arguments, environment);
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Deadline))
        {
            process.Kill();
            Xunit.Assert.Fail($"{program} did not end within {Deadline}: {output.Result} {error.Result}");
        }

        return (process.ExitCode, output.Result, error.Result);
    }

    public void Dispose()
    {
        Host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
