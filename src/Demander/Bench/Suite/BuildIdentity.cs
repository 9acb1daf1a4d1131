using System.Diagnostics;
using System.Reflection;

namespace Hecatonchire.Bench.Suite;

/// <summary>Which heca measured: its version, the commit it was built from, and whether the tree around it has changes beyond.</summary>
internal static class BuildIdentity
{
    private const int ShortCommit = 12;

    public static string Read()
    {
        string informational = typeof(BuildIdentity).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        int plus = informational.IndexOf('+', StringComparison.Ordinal);
        string version = plus < 0 ? informational : informational[..plus];
        string? commit = plus < 0 ? Git("rev-parse", "HEAD") : informational[(plus + 1)..];
        return commit is null ? version : $"{version}+{commit[..Math.Min(ShortCommit, commit.Length)]}{(HasChanges() ? "-dirty" : "")}";
    }

    private static bool HasChanges() => Git("status", "--porcelain", "--untracked-files=no") is { Length: > 0 };

    /// <summary>What git prints about the tree that heca lies in; null without git, and where that tree is not heca's.</summary>
    private static string? Git(params string[] arguments)
    {
        string? top = Run("rev-parse", "--show-toplevel");
        return top is not null && File.Exists(Path.Combine(top, "Hecatonchire.sln")) ? Run(arguments) : null;
    }

    private static string? Run(params string[] arguments)
    {
        try
        {
            using Process git = Process.Start(new ProcessStartInfo("git", ["-C", AppContext.BaseDirectory, .. arguments])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            git.StandardInput.Close();
            git.ErrorDataReceived += static (_, _) => { };
            git.BeginErrorReadLine();
            string text = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? text : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }
}
