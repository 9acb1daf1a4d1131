namespace Hecatonchire.Tests.Harness;

/// <summary>Where the programs are that the tests run.</summary>
internal static class Programs
{
    public static string Root { get; } = FindRoot();

    /// <summary>native/tests/program.c.</summary>
    public static string Test => Path.Combine(Root, "native", "build", "tests", "heca-test-program");

    /// <summary>native/tests/unaware.c.</summary>
    public static string Unaware => Path.Combine(Root, "native", "build", "tests", "heca-unaware");

    /// <summary>native/tests/interrupted.c.</summary>
    public static string Interrupted => Path.Combine(Root, "native", "build", "tests", "heca-interrupted");

    /// <summary>native/tests/checker; the kind is asked or captured.</summary>
    public static string Checker(string kind) => Path.Combine(Root, "native", "build", "tests", "heca-checker-" + kind);

    public static string Sample => Path.Combine(AppContext.BaseDirectory, "heca-sample");

    public static string SumSample => Path.Combine(AppContext.BaseDirectory, "SumSample");

    public static string Heca => Path.Combine(Directory, "heca");

    public static string Sponsor => Path.Combine(Directory, "heca-sponsor");

    /// <summary>HECA_BIN, what `make` published: what a user runs. Else what was built beside the tests, which takes longer to start.</summary>
    private static string Directory => Environment.GetEnvironmentVariable("HECA_BIN") is { Length: > 0 } published ? published : AppContext.BaseDirectory;

    private static string FindRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Hecatonchire.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new DirectoryNotFoundException($"no Hecatonchire.sln above {AppContext.BaseDirectory}");
    }
}
