using Hecatonchire.Pager;
using Hecatonchire.Status;

namespace Hecatonchire.Service;

/// <summary>What its status page shows of the programs.</summary>
internal sealed partial class PagerService
{
    /// <summary>Those that are served now.</summary>
    public IReadOnlyList<ServedProgram> Served
    {
        get
        {
            (IPagerHost Pager, LocalBudget Local, DateTimeOffset Started)[] now;
            lock (_gate)
            {
                now = [.. _jobs.Where(job => job.Pager is not null).Select(job => (job.Pager!, job.Local, job.Started))];
            }

            return [.. now.Select(one => new ServedProgram(one.Pager, SubjectOf(one.Pager, one.Local, one.Started)))];
        }
    }

    /// <summary>What its `heca run` knows of the program, from the kernel.</summary>
    private StatusSubject SubjectOf(IPagerHost pager, LocalBudget local, DateTimeOffset started)
    {
        int program = pager.Programs is [int first, ..] ? first : 0;
        return new StatusSubject
        {
            Command = CommandOf(program),
            Local = local.ToString()!,
            IsCaptured = pager is PagerHost { CapturesAny: true },
            Sponsor = _options.Borrowing.Names,
            Started = started,
            Program = program,
        };
    }

    private static string CommandOf(int process)
    {
        try
        {
            return process == 0 ? "" : new FileInfo($"/proc/{process}/exe").LinkTarget ?? "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
