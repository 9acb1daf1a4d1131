namespace Hecatonchire.Tests;

/// <summary>Where the repository keeps what these tests start or compare with.</summary>
internal static class NativePaths
{
    public static string Root { get; } = FindRoot();

    public static string Header => Path.Combine(Root, "native", "include", "heca.h");

    /// <summary>The C pager of native/tests, which keeps pages in its own memory.</summary>
    public static string Minipager => Path.Combine(Root, "native", "build", "tests", "heca-minipager");

    public static string SumSample => Path.Combine(AppContext.BaseDirectory, "SumSample");

    private static string FindRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory != null && !File.Exists(Path.Combine(directory, "Hecatonchire.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new DirectoryNotFoundException($"no Hecatonchire.sln above {AppContext.BaseDirectory}");
    }
}
