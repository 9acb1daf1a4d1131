using System.Reflection;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Services;
using Hecatonchire.Sponsor.Cli;

namespace Hecatonchire.Manual;

/// <summary>heca-manual ROOT: writes what is made from the command lines of the programs, below ROOT/deploy. `make man` runs it; a test tells when that was forgotten.</summary>
internal static class ManualProgram
{
    private static int Main(string[] args)
    {
        string root = args.Length == 1 ? args[0] : ".";
        foreach ((string path, string text) in Files(root))
        {
            string file = Path.Combine(root, path);
            _ = Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, text);
        }

        return 0;
    }

    /// <summary>Paths below the root of the tree, and what is to be there.</summary>
    public static IEnumerable<(string Path, string Text)> Files(string root)
    {
        var operations = new MarkdownTables(File.ReadAllText(Path.Combine(root, "docs/operations.md")));
        string version = Assembly.GetExecutingAssembly().GetName().Version!.ToString(3);
        var heca = CommandHelp.Of("heca", Composition.CreateCommandLine());
        var sponsor = CommandHelp.Of("heca-sponsor", SponsorCommand.Create());
        Dictionary<string, string> examples = SettingDefinition.All.Where(definition => definition.Example is not null).ToDictionary(definition => definition.CommandLine, definition => definition.Example!);
        yield return ("deploy/man/heca.1", CommandPage.Write(heca, 1, "remote memory for programs: run them, serve them, watch them", operations, version, "heca-sponsor(8)", "heca.h(3)"));
        yield return ("deploy/man/heca-sponsor.8", CommandPage.Write(sponsor, 8, "lends this host's memory to programs on other hosts", operations, version, "heca(1)", "heca.h(3)"));
        yield return ("deploy/man/heca.h.3", HeaderPage.Write(File.ReadAllText(Path.Combine(root, "native/include/heca.h")), version));
        yield return ("deploy/completion/heca.bash", Completion.Write(heca));
        yield return ("deploy/completion/heca-sponsor.bash", Completion.Write(sponsor));
        yield return ("deploy/etc/sponsor.conf", ConfigurationTemplate.Write(
            sponsor,
            "heca-sponsor: what this host lends. `name = value`, a line each; # begins a comment. Every option is here with its default, or, where it has none, an example.\n"
            + "At least `memory` has to be given, and `listen`, so that other hosts reach it. Then: systemctl enable --now heca-sponsor\n"
            + "`heca-sponsor --config FILE --dump-config` shows what is in effect; heca-sponsor(8) has more.",
            examples,
            "--config",
            "--dump-config"));
        yield return ("deploy/etc/pager.conf", ConfigurationTemplate.Write(
            heca.Commands.Single(command => command.Path == "heca pager"),
            "heca pager: serves the programs of this host. `name = value`, a line each; # begins a comment. Every option is here with its default, or, where it has none, an example.\n"
            + "At least `sponsor` has to be given, with its key, or `etcd`. Then: systemctl enable --now heca-pager\n"
            + "After a change: systemctl reload heca-pager, and the programs go on with a new pager. heca(1) has more.",
            PagerCommand.Examples,
            "--config"));
    }
}
