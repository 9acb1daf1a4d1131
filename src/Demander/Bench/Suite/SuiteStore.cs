using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hecatonchire.Cli;

namespace Hecatonchire.Bench.Suite;

/// <summary>
/// results.json in the directory of a report, written anew after every run: whenever the suite ends, there is a whole
/// file with all runs that have been made.
/// </summary>
internal sealed class SuiteStore
{
    public const string FileName = "results.json";

    private static readonly JsonSerializerOptions s_json = new(BenchJson.Report)
    {
        WriteIndented = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    private readonly string _path;

    private SuiteStore(string directory, SuiteResults results)
    {
        _path = Path.Combine(directory, FileName);
        Results = results;
    }

    public SuiteResults Results { get; private set; }

    /// <summary>Starts a new file. One that is there is kept, under the name of the time its suite started at.</summary>
    public static SuiteStore Create(string directory, SuiteResults results)
    {
        Directory.CreateDirectory(directory);
        string path = Path.Combine(directory, FileName);
        if (File.Exists(path))
        {
            File.Move(path, Path.Combine(directory, $"results-{StartOf(path)}.json"), overwrite: true);
        }

        var store = new SuiteStore(directory, results);
        store.Write();
        return store;
    }

    /// <summary>Goes on with the file of an earlier suite; see <see cref="Read"/> for what it throws.</summary>
    public static SuiteStore Open(string directory) => new(directory, Read(directory));

    /// <exception cref="CommandException">There is no such file, or it holds something else.</exception>
    public static SuiteResults Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        if (!File.Exists(path))
        {
            throw new CommandException($"{path} is not there: `heca bench suite --out {directory}` makes it", ExitStatus.Usage);
        }

        try
        {
            SuiteResults results = JsonSerializer.Deserialize<SuiteResults>(File.ReadAllText(path), s_json)
                ?? throw new JsonException("it is empty");
            return results.Format == SuiteResults.FormatNow
                ? results
                : throw new CommandException($"{path} has format {results.Format}, this heca reads {SuiteResults.FormatNow}", ExitStatus.Failed);
        }
        catch (JsonException e)
        {
            throw new CommandException($"{path} does not hold results of a suite: {e.Message}", ExitStatus.Failed);
        }
    }

    public void SetAmount(string name, long amount) =>
        Update(Results with { Amounts = new Dictionary<string, long>(Results.Amounts) { [name] = amount } });

    public void Add(SuiteRun run) => Update(Results with { Runs = [.. Results.Runs, run] });

    public void SetComplete() => Update(Results with { Complete = true });

    private void Update(SuiteResults results)
    {
        Results = results;
        Write();
    }

    /// <summary>Beside the old file and then in its place: no moment leaves half of one.</summary>
    private void Write()
    {
        string next = _path + ".new";
        File.WriteAllText(next, JsonSerializer.Serialize(Results, s_json) + "\n");
        File.Move(next, _path, overwrite: true);
    }

    private static string StartOf(string path)
    {
        DateTimeOffset start;
        try
        {
            start = Read(Path.GetDirectoryName(path)!).Started;
        }
        catch (CommandException)
        {
            start = File.GetLastWriteTimeUtc(path);
        }

        return start.UtcDateTime.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
    }
}
