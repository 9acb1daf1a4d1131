using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Cli.Status;
using Hecatonchire.Pager;
using Hecatonchire.Status;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Segments;

/// <summary>`heca segment list|grow|shrink`: the segments of this host's programs, and their length from outside.</summary>
internal static class SegmentCommand
{
    private const string ListDetails =
        "Asks every running `heca run` of this user, or of all users for root. `can be` is what a segment can grow to; one that is captured, a window of\n"
        + "memory that an unmodified program has mapped itself, cannot. With --json, an array of all that is known, sizes in bytes.\n";

    private const string GrowDetails =
        "ID is what `heca segment list` shows, or its first digits. The segment grows in place, while its program runs; the new pages are zero. The program\n"
        + "learns of it by heca_segment_size, or SponsoredMemory.Length. A segment can grow to what was reserved for it: as a rule 16 times what it was first.\n\n"
        + "Examples:\n"
        + "  heca segment grow 5f3a 4GiB\n";

    private const string ShrinkDetails =
        "ID is what `heca segment list` shows, or its first digits. The pages at the end go, and whoever touches them afterwards gets SIGSEGV, never zeros. So a\n"
        + "segment is shrunk only where the program has not used them, or has given them up (HECA_ADVICE_DONT_NEED): with --drop also where it has, and what is in\n"
        + "them is lost.\n\n"
        + "Examples:\n"
        + "  heca segment shrink 5f3a 512MiB --drop\n";

    private static readonly string[] s_columns = ["segment", "program", "pid", "address", "size", "can be", "here", "remote", "lost"];

    public static Command Create() => new("segment", "List the segments of running programs, and change their size") { CreateList(), CreateGrow(), CreateShrink() };

    private static DetailedCommand CreateList()
    {
        var json = new Option<bool>("--json") { Description = "Print a JSON array instead of a table" };
        var command = new DetailedCommand("list", "Show the segments of the programs that run with sponsored memory", ListDetails) { json };
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            SegmentReport[] segments = [.. SegmentDirectory.List(out int silent).Select(found => found.Segment)];
            if (parsed.GetValue(json))
            {
                output.WriteLine(JsonSerializer.Serialize(segments, SegmentJson.Options));
            }
            else if (segments.Length == 0)
            {
                output.WriteLine("no program that runs under `heca run` has a segment");
            }
            else
            {
                PlainTable.Write(output, s_columns, segments.Select(Cells), 1, 3);
            }

            return silent == 0 ? ExitStatus.Done : throw new CommandException($"{silent} pagers of this host do not answer: what their programs have is missing", ExitStatus.Failed);
        });
        return command;
    }

    private static DetailedCommand CreateGrow()
    {
        (Argument<string> id, Argument<string> size) = Arguments();
        var command = new DetailedCommand("grow", "Make a segment of a running program larger", GrowDetails) { id, size };
        command.SetAction(parsed => Resize(parsed.GetValue(id)!, parsed.GetValue(size)!, SegmentChange.Grow, parsed.InvocationConfiguration.Output));
        return command;
    }

    private static DetailedCommand CreateShrink()
    {
        (Argument<string> id, Argument<string> size) = Arguments();
        var drop = new Option<bool>("--drop") { Description = "Also where the program has used the pages that go: their contents are lost" };
        var command = new DetailedCommand("shrink", "Make a segment of a running program smaller", ShrinkDetails) { id, size, drop };
        command.SetAction(parsed =>
            Resize(parsed.GetValue(id)!, parsed.GetValue(size)!, parsed.GetValue(drop) ? SegmentChange.Drop : SegmentChange.Shrink, parsed.InvocationConfiguration.Output));
        return command;
    }

    private static (Argument<string> Id, Argument<string> Size) Arguments() =>
        (new Argument<string>("ID") { Description = "The segment, by the first digits of its id" }, new Argument<string>("SIZE") { Description = "What it has from then on, such as 4GiB" });

    private static int Resize(string id, string size, SegmentChange change, TextWriter output)
    {
        if (!ByteSize.TryParse(size, out ByteSize asked) || asked.Bytes == 0)
        {
            throw new CommandException($"'{size}' is no size: write one such as 4GiB", ExitStatus.Usage);
        }

        (string socket, SegmentReport segment) = Find(id);
        var wanted = new ByteSize((asked.Bytes + PageSize.Bytes - 1) / PageSize.Bytes * PageSize.Bytes);
        var now = new ByteSize(segment.Bytes);
        if (segment.IsCaptured)
        {
            throw new CommandException($"segment {segment.Id} is memory that {segment.Name} ({segment.Program}) has mapped itself: only the program changes its size", ExitStatus.Failed);
        }

        if (change == SegmentChange.Grow ? wanted.Bytes < now.Bytes : wanted.Bytes > now.Bytes)
        {
            string other = change == SegmentChange.Grow ? "shrink" : "grow";
            throw new CommandException($"segment {segment.Id} has {now}: `heca segment {other}` makes that {wanted}", ExitStatus.Failed);
        }

        if (SegmentDirectory.Resize(socket, segment, wanted.Bytes, change) is { } why)
        {
            throw new CommandException($"segment {segment.Id} still has {now}: {why}", ExitStatus.Failed);
        }

        output.WriteLine($"segment {segment.Id} of {segment.Name} ({segment.Program}) has {wanted}; it had {now}");
        return ExitStatus.Done;
    }

    private static (string Socket, SegmentReport Segment) Find(string id)
    {
        if (id.Length == 0 || id.Any(digit => !char.IsAsciiHexDigit(digit)))
        {
            throw new CommandException($"'{id}' is no segment's id: those are hexadecimal digits, as `heca segment list` shows them", ExitStatus.Usage);
        }

        List<(string Socket, SegmentReport Segment)> found = SegmentDirectory.List(out int silent).FindAll(one => one.Segment.Id.StartsWith(id, StringComparison.OrdinalIgnoreCase));
        return found switch
        {
            [] => throw new CommandException($"no segment of a running program has an id that begins with {id}: " + (silent == 0 ? "`heca segment list` shows them" : $"{silent} pagers do not answer"), ExitStatus.Failed),
            [var one] => one,
            _ => throw new CommandException($"{found.Count} segments have ids that begin with {id}: write more of its digits", ExitStatus.Failed),
        };
    }

    private static string[] Cells(SegmentReport segment) =>
    [
        segment.Id, segment.Name, segment.Program.ToString(CultureInfo.InvariantCulture), string.Create(CultureInfo.InvariantCulture, $"0x{segment.Address:x}"),
        new ByteSize(segment.Bytes).ToString(), segment.IsCaptured ? "captured" : new ByteSize(segment.ReserveBytes).ToString(),
        new ByteSize(segment.ResidentBytes).ToString(), new ByteSize(segment.RemoteBytes).ToString(), new ByteSize(segment.LostBytes).ToString(),
    ];
}
