using System.Globalization;
using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Status;

namespace Hecatonchire.Service;

/// <summary>
/// Where the host's pager is found: its socket, and beside it a folder of its process with one for each program, which only the program's user can
/// enter. What another process has left there is removed.
/// </summary>
internal sealed class ServiceDirectory : IDisposable
{
    /// <summary>Names the socket where it is neither of the usual ones.</summary>
    public const string Environment = "HECA_PAGER";

    private const string HostSocket = "/run/heca-pager/socket";
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Enter = Owner | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    private const UnixFileMode Connect = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    private readonly string _jobs;
    private int _last;

    /// <summary>Listens. Throws <see cref="IOException"/>, <see cref="UnauthorizedAccessException"/>, <see cref="SocketException"/> with what the user needs to know.</summary>
    public ServiceDirectory(string socketPath)
    {
        SocketPath = socketPath;
        string parent = Path.GetDirectoryName(Path.GetFullPath(socketPath))!;
        if (!Directory.Exists(parent))
        {
            _ = Directory.CreateDirectory(parent, Enter);
        }

        Clear(parent);
        Listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            Listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            Listener.Listen(64);

            // Who may do what is decided by who has connected.
            File.SetUnixFileMode(socketPath, Connect);
            _jobs = Path.Combine(parent, System.Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            _ = Directory.CreateDirectory(_jobs, Enter);
        }
        catch
        {
            Listener.Dispose();
            throw;
        }
    }

    public string SocketPath { get; }

    public Socket Listener { get; }

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

    /// <summary>A folder that only this user enters, for the socket of its program's pager.</summary>
    public string MakeJob(uint user)
    {
        string job = Path.Combine(_jobs, Interlocked.Increment(ref _last).ToString(CultureInfo.InvariantCulture));
        _ = Directory.CreateDirectory(job, Owner);
        GiveTo(job, user);
        return job;
    }

    public static void GiveTo(string path, uint user)
    {
        if (user != Libc.EffectiveUser() && Libc.ChangeOwner(path, user, uint.MaxValue) != 0)
        {
            throw new IOException($"{path} cannot be given to {Accounts.NameOf(user)}: {Errno.Describe(Libc.Errno)}");
        }
    }

    public void Dispose()
    {
        Listener.Dispose();
        File.Delete(SocketPath);
        Directory.Delete(_jobs, recursive: true);
    }

    /// <summary>A socket that nobody listens on any more, and folders of processes that have ended.</summary>
    private void Clear(string parent)
    {
        if (File.Exists(SocketPath))
        {
            using var probe = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
            try
            {
                probe.Connect(new UnixDomainSocketEndPoint(SocketPath));
                throw new IOException($"a pager listens on {SocketPath} already");
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
            {
                File.Delete(SocketPath);
            }
        }

        foreach (string left in Directory.GetDirectories(parent))
        {
            if (int.TryParse(Path.GetFileName(left), NumberStyles.None, CultureInfo.InvariantCulture, out int process) && !Directory.Exists($"/proc/{process}"))
            {
                Directory.Delete(left, recursive: true);
            }
        }
    }
}
