using System.Text.Encodings.Web;
using System.Text.Json;
using Hecatonchire.Pager;
using Hecatonchire.Status;

namespace Hecatonchire.Cli.Run;

/// <summary>`--stats-json`: how the program ended and what the pager did for it, for scripts. One JSON object, in snake_case.</summary>
internal sealed record RunFigures
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>Of the program, from its start to its end: what the pager takes to start and to stop is not in it.</summary>
    public required double ElapsedS { get; init; }

    /// <summary>The program's, 128 + n for a signal n.</summary>
    public required int ExitStatus { get; init; }

    /// <summary>Of the memory that the pager had in its hands.</summary>
    public required long ResidentPeakBytes { get; init; }

    /// <summary>What `heca status --json` would say of it last.</summary>
    public required StatusReport Figures { get; init; }

    public static RunFigures Of(IPagerHost pager, StatusSubject subject, TimeSpan elapsed, int status) => new()
    {
        ElapsedS = Math.Round(elapsed.TotalSeconds, 6),
        ExitStatus = status,
        ResidentPeakBytes = pager.Snapshot().ResidentPeakBytes,
        Figures = StatusReport.Of(pager, subject),
    };

    /// <summary>The file that they will be written to; throws <see cref="CommandException"/> (usage) where that cannot be.</summary>
    public static FileStream Create(string path)
    {
        try
        {
            return File.Create(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"--stats-json '{path}': {e.Message.TrimEnd('.')}", Cli.ExitStatus.Usage);
        }
    }

    public void Write(Stream output)
    {
        JsonSerializer.Serialize(output, this, s_json);
        output.Write("\n"u8);
        output.Flush();
    }

    /// <summary>Null where there are none: the program has not ended, or was never started.</summary>
    public static RunFigures? Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return JsonSerializer.Deserialize<RunFigures>(file, s_json);
        }
        catch (Exception e) when (e is JsonException or FileNotFoundException)
        {
            return null;
        }
    }
}
