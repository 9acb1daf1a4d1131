using System.Text.Json;
using Hecatonchire.Cli;

namespace Hecatonchire.Bench.Ratios;

/// <summary>What a ratio was when the file was written, and how much more it may be, as a share.</summary>
internal sealed record ExpectedRatio(double Expected, double Tolerance);

/// <summary>The ratios that `heca bench check` expects; in the repository, so that they change with the code that changes them.</summary>
/// <param name="Build">Which heca they are of.</param>
/// <param name="Machine">Which machine they were measured on; for people.</param>
/// <param name="Ratios">By <see cref="RatioDefinition.Name"/>.</param>
internal sealed record RatioFile(string Build, string Machine, IReadOnlyDictionary<string, ExpectedRatio> Ratios)
{
    public const string DefaultPath = "tests/bench/ratios.json";

    private static readonly JsonSerializerOptions s_json = new(BenchJson.Report) { WriteIndented = true };

    /// <exception cref="CommandException">It is not there, or is something else.</exception>
    public static RatioFile Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new CommandException($"{path} is not there: --file names another, --update makes it", ExitStatus.Usage);
        }

        try
        {
            return JsonSerializer.Deserialize<RatioFile>(File.ReadAllText(path), s_json) is { Ratios: not null } file
                ? file
                : throw new JsonException("there are no ratios in it");
        }
        catch (JsonException e)
        {
            throw new CommandException($"{path} does not hold ratios: {e.Message}", ExitStatus.Usage);
        }
    }

    public void Write(string path)
    {
        if (Path.GetDirectoryName(path) is { Length: > 0 } directory)
        {
            Directory.CreateDirectory(directory);
        }

        File.WriteAllText(path, JsonSerializer.Serialize(this, s_json) + "\n");
    }
}
