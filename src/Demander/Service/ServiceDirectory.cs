using System.Globalization;
using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Status;

namespace Hecatonchire.Service;

/// <summary>
/// Where the host's pager is found: its socket, and beside it a folder with one for each program, in which only the pager writes, with a socket that only the
/// program's user can connect to. Those that a pager which has died has left are taken over, since its programs know their sockets by these paths.
/// </summary>
internal sealed class ServiceDirectory : IDisposable
{
    /// <summary>Names the socket where it is neither of the usual ones.</summary>
    public const string Environment = "HECA_PAGER";

    /// <summary>Of the pager that root runs for the host.</summary>
    public const string HostSocket = "/run/heca-pager/socket";
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Enter = Owner | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    private const UnixFileMode Connect = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <summary>How long a pager that was killed may take to end.</summary>
    private const int EndMsMax = 10_000;

    /// <summary>What the folder's name has beyond the socket's.</summary>
    private const string Programs = ".programs";

    private readonly string _jobs;
    private int _last;

    /// <summary>Listens. Throws <see cref="IOException"/>, <see cref="UnauthorizedAccessException"/>, <see cref="SocketException"/> with what the user needs to know.</summary>
    /// <param name="socketPath">Where it is to be found.</param>
    /// <param name="takesOver">A pager that listens there already is ended (SIGKILL), and its programs go on with this one.</param>
    public ServiceDirectory(string socketPath, bool takesOver)
    {
        SocketPath = socketPath;
        string parent = Path.GetDirectoryName(Path.GetFullPath(socketPath))!;
        if (!Directory.Exists(parent))
        {
            _ = Directory.CreateDirectory(parent, Enter);
        }

        Clear(takesOver);
        Listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            Listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            Listener.Listen(64);

            // Who may do what is decided by who has connected.
            File.SetUnixFileMode(socketPath, Connect);
            _jobs = socketPath + Programs;
            _ = Directory.CreateDirectory(_jobs, Enter);
            Left = Directory.GetDirectories(_jobs);
            _last = Left.Select(folder => int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0).DefaultIfEmpty().Max();
        }
        catch
        {
            Listener.Dispose();
            throw;
        }
    }

    public string SocketPath { get; }

    public Socket Listener { get; }

    /// <summary>Folders of programs that another pager has served.</summary>
    public IReadOnlyList<string> Left { get; }

    /// <summary>Where a pager of this user listens, unless told otherwise: root's for the host.</summary>
    public static string Own => Libc.EffectiveUser() == 0 && System.Environment.GetEnvironmentVariable(StatusDirectory.Environment) is null or ""
        ? HostSocket
        : Path.Combine(StatusDirectory.Own, "pager", "socket");

    /// <summary>The socket of the pager that this user would be served by; null where none is.</summary>
    public static string? Find() =>
        System.Environment.GetEnvironmentVariable(Environment) is { Length: > 0 } named ? named
        : File.Exists(Own) ? Own
        : File.Exists(HostSocket) && System.Environment.GetEnvironmentVariable(StatusDirectory.Environment) is null or "" ? HostSocket
        : null;

    /// <summary>True when a pager that listened there has left programs behind, or still serves some.</summary>
    public static bool HasLeft(string socketPath) => Directory.Exists(socketPath + Programs) && Directory.EnumerateDirectories(socketPath + Programs).Any();

    /// <summary>A folder for a program's pager.</summary>
    public string MakeJob()
    {
        string job = Path.Combine(_jobs, Interlocked.Increment(ref _last).ToString(CultureInfo.InvariantCulture));
        _ = Directory.CreateDirectory(job, Enter);
        return job;
    }

    /// <summary>The program of a folder has ended.</summary>
    public static void Forget(string job) => Directory.Delete(job, recursive: true);

    public void Dispose()
    {
        Listener.Dispose();
        File.Delete(SocketPath);
        Directory.Delete(_jobs, recursive: true);
    }

    /// <summary>A socket that nobody listens on any more is removed.</summary>
    private void Clear(bool takesOver)
    {
        if (!File.Exists(SocketPath))
        {
            return;
        }

        long end = System.Environment.TickCount64 + EndMsMax;
        while (FindListener() is { } process)
        {
            if (!takesOver || process <= 0 || System.Environment.TickCount64 > end)
            {
                throw new IOException($"a pager listens on {SocketPath} already{(takesOver ? ", and does not end" : "; --takeover goes on with its programs in its place")}");
            }

            _ = Libc.Kill(process, Libc.SIGKILL);
            Thread.Sleep(1);
        }

        File.Delete(SocketPath);
    }

    /// <summary>The process that listens there; null when none does.</summary>
    private int? FindListener()
    {
        using var probe = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(SocketPath));
            return PeerCredentials.Of((int)probe.Handle).Process;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            return null;
        }
    }
}
