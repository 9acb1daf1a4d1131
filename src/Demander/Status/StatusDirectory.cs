using System.Globalization;
using System.Net.Sockets;
using Hecatonchire.Interop;

namespace Hecatonchire.Status;

/// <summary>
/// Where running pagers can be asked: a Unix socket each, named after its process, in a directory of its user's. Whoever connects gets one
/// <see cref="StatusReport"/>.
/// </summary>
internal static class StatusDirectory
{
    /// <summary>Another directory than the user's.</summary>
    public const string Environment = "HECA_RUNTIME_DIR";

    private const UnixFileMode ForThisUserOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>A pager answers at once; one that is stopped is not waited for longer.</summary>
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(1);

    /// <summary>This user's: /run/heca for root, else heca/ in XDG_RUNTIME_DIR, or where that is not set beside the user's keys.</summary>
    public static string Own =>
        System.Environment.GetEnvironmentVariable(Environment) is { Length: > 0 } given ? given
        : Libc.EffectiveUser() == 0 ? "/run/heca"
        : System.Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } runtime ? Path.Combine(runtime, "heca")
        : Path.Combine(System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile), ".local", "state", "heca", "run");

    /// <summary>The path for a pager's socket; makes the directory. Throws <see cref="IOException"/>, <see cref="UnauthorizedAccessException"/>.</summary>
    public static string PathFor(int pager)
    {
        string directory = Own;
        _ = Directory.CreateDirectory(directory, ForThisUserOnly);
        return Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{pager}.sock"));
    }

    /// <summary>The reports of all running pagers of this user, and for root of every user, by process id.</summary>
    public static List<StatusReport> Ask()
    {
        var reports = new List<StatusReport>();
        foreach (string socket in Sockets("*.sock"))
        {
            if (Ask(socket) is { } report)
            {
                reports.Add(report);
            }
        }

        return [.. reports.OrderBy(report => report.Pager)];
    }

    /// <summary>The sockets of running pagers of this user, and for root of every user, whose names are such.</summary>
    public static IEnumerable<string> Sockets(string pattern) => Directories().Where(Directory.Exists).SelectMany(directory => Directory.GetFiles(directory, pattern));

    private static IEnumerable<string> Directories()
    {
        yield return Own;
        if (Libc.EffectiveUser() == 0 && System.Environment.GetEnvironmentVariable(Environment) is null or "" && Directory.Exists("/run/user"))
        {
            foreach (string user in Directory.GetDirectories("/run/user"))
            {
                yield return Path.Combine(user, "heca");
            }
        }
    }

    private static StatusReport? Ask(string path)
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.ReceiveTimeout = (int)AnswerMax.TotalMilliseconds;
            socket.Connect(new UnixDomainSocketEndPoint(path));
            using var answer = new MemoryStream();
            byte[] part = new byte[4096];
            for (int read = socket.Receive(part); read > 0; read = socket.Receive(part))
            {
                answer.Write(part, 0, read);
            }

            return StatusReport.Parse(answer.GetBuffer().AsSpan(0, (int)answer.Length));
        }
        catch (SocketException e)
        {
            if (e.SocketErrorCode == SocketError.ConnectionRefused)
            {
                // Of a pager that was killed.
                TryDelete(path);
            }

            return null;
        }
    }

    public static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another user's, or gone by now.
        }
    }
}
