using System.CommandLine;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Cli.Check;

var root = new RootCommand("Remote memory for programs") { BenchCommand.Create(), BenchWorkerCommand.Create(), CheckCommand.Create() };
ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    Console.Error.WriteLine($"heca: {parsed.Errors[0].Message}");
    return 2;
}

return parsed.Invoke();
