using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Consistency;

/// <summary>
/// Sponsors on hosts of their own, a pager, and two programs under it that check their memory: one asks for it, the other's is captured. Nothing is left of it, whatever
/// became of the test.
/// </summary>
internal sealed class SoakCluster : IDisposable
{
    private const string Memory = "1GiB";
    private const string WireAddress = "127.0.0.2";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(90);

    /// <summary>A pager notices silence after 0.3 s, and a host that is busy later.</summary>
    private static readonly TimeSpan s_notice = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    private readonly string _runtime = Directory.CreateTempSubdirectory("heca-test-soak-").FullName;
    private readonly SoakSchedule _schedule;
    private readonly CancellationToken _interrupted;
    private readonly List<SponsorNamespace> _hosts = [];
    private readonly List<SponsorProcess> _sponsors = [];
    private readonly List<CheckedProgram> _programs = [];
    private readonly List<OutputTail> _pagersTold = [];
    private Process? _pager;

    public SoakCluster(SoakSchedule schedule, int seed, CancellationToken interrupted)
    {
        (_schedule, _interrupted) = (schedule, interrupted);
        try
        {
            for (int i = 0; i < schedule.Sponsors; i++)
            {
                _hosts.Add(new SponsorNamespace());
                _sponsors.Add(new SponsorProcess(_hosts[i], Memory));
            }

            Wire = new WireProxy(_sponsors[schedule.Wired], WireAddress, seed);
            StartPager();
            StartProgram("asked", "16MiB", seed);
            StartProgram("captured", "24MiB", seed);
            // What they have is remote for a moment only: they discard as much as they write.
            WaitFor(() => _programs.TrueForAll(program => Figure(program, "pages_in") > 4096), "nothing becomes remote");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public WireProxy Wire { get; } = null!;

    public IReadOnlyList<SponsorNamespace> Hosts => _hosts;

    public IReadOnlyList<SponsorProcess> Sponsors => _sponsors;

    public IReadOnlyList<CheckedProgram> Programs => _programs;

    /// <summary>Throws what the first program that is not well says.</summary>
    public void Check()
    {
        _interrupted.ThrowIfCancellationRequested();
        foreach (CheckedProgram program in _programs)
        {
            if (program.Problem is { } problem)
            {
                throw new SoakException(problem);
            }
        }

        if (_pager is { HasExited: true })
        {
            throw new SoakException($"the pager ended with {_pager.ExitCode}");
        }
    }

    public void WaitFor(Func<bool> condition, string otherwise)
    {
        for (long start = Stopwatch.GetTimestamp(); !condition();)
        {
            Check();
            if (Stopwatch.GetElapsedTime(start) > s_deadline)
            {
                throw new SoakException(otherwise);
            }

            _ = _interrupted.WaitHandle.WaitOne(s_look);
        }
    }

    /// <summary>Lets the time go by, while the programs work.</summary>
    public void Pass(TimeSpan time)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < time;)
        {
            Check();
            _ = _interrupted.WaitHandle.WaitOne(s_look);
        }
    }

    /// <summary>All sponsors are used and answer, and every page is on as many as it should.</summary>
    public void WaitUntilWhole() => WaitFor(
        () => _programs.TrueForAll(program =>
            Figure(program, "sponsors") == _schedule.Sponsors && Figure(program, "sponsors_lost") == 0 && Figure(program, "sponsors_silent") == 0 && Figure(program, "stripes_lacking") == 0),
        "the programs' memory does not become whole");

    /// <summary>A sponsor was not there for a while: until every pager has noticed, if it will, and given up what it gives up then. What comes next would be one loss too many before.</summary>
    public void PassUntilNoticed() => Pass(s_notice);

    public void WaitUntilLost(int count) => WaitFor(() => _programs.TrueForAll(program => Figure(program, "sponsors_lost") == count), "nobody notices that a sponsor is lost");

    /// <summary>Without the captured program forking just then, which would be its end: what was read of a fork dies with the pager.</summary>
    public void KillPager()
    {
        CalmDown();
        Process pager = _pager!;
        _pager = null;
        pager.Kill();
        pager.WaitForExit();
        pager.Dispose();
    }

    /// <summary>And lets the programs go on as they like.</summary>
    public void StartPager(params string[] more)
    {
        SponsorProcess wired = _sponsors[_schedule.Wired];
        string[] arguments =
        [
            "--pdeathsig", "KILL", "--", Harness.Programs.Heca, "pager", .. HecaRun.Naming(_sponsors.Where(sponsor => sponsor != wired)), "--sponsor", $"{Wire.Endpoint.Host}:{Wire.Endpoint.Port}", "--sponsor-key", Wire.Endpoint.PublicKey,
            "--replicas", $"{_schedule.Replicas}", "--stripe", "16MiB", .. more,
        ];

        // setpriv: who kills this test has no pager left. It dies with the thread that starts it, which is this one until the end.
        var start = new ProcessStartInfo("setpriv", arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["HECA_RUNTIME_DIR"] = _runtime;
        Process? before = _pager;
        _pager = Process.Start(start)!;
        _pagersTold.Add(new OutputTail(_pager.StandardError));
        bool isReady = false;
        _pagersTold.Add(new OutputTail(_pager.StandardOutput, line => isReady |= line.StartsWith("pager ready", StringComparison.Ordinal)));
        WaitFor(() => Volatile.Read(ref isReady), "the pager does not come");
        before?.WaitForExit();
        before?.Dispose();
        WaitFor(() => _programs.TrueForAll(program => program.Status is not null), "the programs are not served by the next pager");
        _programs.ForEach(program => program.Go());
    }

    /// <summary>Until the next pager is there.</summary>
    public void CalmDown()
    {
        CheckedProgram captured = _programs.Single(program => program.IsCaptured);
        captured.Calm();
        WaitFor(() => captured.IsCalm, "the captured program does not come to rest");
    }

    /// <summary>`heca drain` or `heca offer`, to its end; throws where it fails.</summary>
    public void Administer(int sponsor, params string[] command)
    {
        SponsorProcess process = _sponsors[sponsor];
        var done = Task.Run(() => HecaRun.Command([command[0], process.Name, .. command[1..], "--sponsor-key", process.Endpoint.PublicKey, "--admin-key", process.AdminKey]));
        WaitFor(() => done.IsCompleted, $"heca {command[0]} does not end");
        if (done.Result.Status != 0)
        {
            throw new SoakException($"heca {string.Join(' ', command)} {process.Name} ended with {done.Result.Status}: {done.Result.Error.Trim()}");
        }
    }

    public void OfferAll(int sponsor) => Administer(sponsor, "offer", Memory);

    /// <summary>The programs read all they have, and end; returns what they have done.</summary>
    public string EndPrograms()
    {
        _programs.ForEach(program => program.End());
        WaitFor(() => _programs.TrueForAll(program => program.IsOk), "the programs do not end");
        foreach (CheckedProgram program in _programs)
        {
            // With one replica a loss is a failure of the pager's, which the program outlives.
            Assert.True(program.ExitCode == 0 || (_schedule.Replicas == 1 && program.ExitCode == 1), $"{program.ExitCode}: {program.Describe()}");
        }

        return string.Join('\n', _programs.Select(program => $"{program.Kind}: {program.Progress}"));
    }

    public string Describe() => string.Join(
        '\n',
        [
            .. _programs.Select(program => program.Describe()),
            .. _pagersTold.TakeLast(4).Select(told => $"--- a pager\n{told.Text}"),
            .. _sponsors.Select((sponsor, i) => $"--- sponsor {i}, {sponsor.Name}\n{sponsor.Told}"),
        ]);

    public void Dispose()
    {
        _programs.ForEach(program => program.Dispose());
        if (_pager is { } pager)
        {
            if (!pager.HasExited)
            {
                pager.Kill();
                pager.WaitForExit();
            }

            pager.Dispose();
        }

        Wire?.Dispose();
        _sponsors.ForEach(sponsor => sponsor.Dispose());
        _hosts.ForEach(host => host.Dispose());
        Directory.Delete(_runtime, recursive: true);
    }

    private void StartProgram(string kind, string local, int seed) => _programs.Add(
        new CheckedProgram(kind, local, _runtime, "72", "4", $"{(uint)seed}", $"{_schedule.Replicas}"));

    private static long Figure(CheckedProgram program, string name) => program.Status is { } status && status.TryGetProperty(name, out JsonElement figure) ? figure.GetInt64() : -1;
}
