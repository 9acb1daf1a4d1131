using System.Diagnostics;
using System.Globalization;
using System.Net.NetworkInformation;
using System.Text.RegularExpressions;
using Hecatonchire.Interop;

namespace Hecatonchire.Tests.Harness;

/// <summary>
/// A network namespace as a sponsor's host, and a wire to it (a veth pair) that can be cut: what is sent then is lost in both directions, and nobody is told, as where a
/// switch fails. Gone with the test; what a test run left behind that was killed, the next one removes.
/// </summary>
internal sealed partial class SponsorNamespace : IDisposable
{
    private const string Ip = "/usr/sbin/ip";
    private const int NumbersEnd = 255;

    /// <summary>The wire's end inside.</summary>
    private const string Inside = "wire";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);
    private static readonly Lazy<string?> s_obstacle = new(FindObstacle);

    private readonly string _outside;

    public SponsorNamespace()
    {
        Require();
        (int number, Name) = Create();
        _outside = OutsideOf(number);
        Address = $"10.231.{number}.2";
        try
        {
            string mac = Invariant($"02:00:0a:e7:{number:x2}:02");

            // The neighbour for good: the kernel forgets others when the wire is cut, and who then sends is told that there is no such host.
            Run("address", "add", $"10.231.{number}.1/30", "dev", _outside);
            Run("link", "set", _outside, "up");
            Run("neighbour", "add", Address, "lladdr", mac, "dev", _outside, "nud", "permanent");
            Run("-n", Name, "link", "set", Inside, "address", mac);
            Run("-n", Name, "address", "add", Address + "/30", "dev", Inside);
            Run("-n", Name, "link", "set", "lo", "up");
            Join();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name { get; }

    /// <summary>The address inside, where a sponsor is to listen.</summary>
    public string Address { get; }

    /// <summary>Skips the test, or fails it, where there cannot be one.</summary>
    public static void Require() => Capability.Require("netns", s_obstacle.Value is null, s_obstacle.Value ?? "");

    /// <summary>How a program is started inside; the process that is started becomes the program.</summary>
    public ProcessStartInfo Starting(string program) => new(Ip, ["netns", "exec", Name, program]);

    /// <summary>What is sent from now on does not arrive.</summary>
    public void Cut() => Run("-n", Name, "link", "set", Inside, "down");

    public void Join() => Run("-n", Name, "link", "set", Inside, "up");

    public void Dispose() => Remove(Name, _outside);

    private static (int Number, string Name) Create()
    {
        HashSet<int> taken = [.. NetworkInterface.GetAllNetworkInterfaces()
            .SelectMany(network => network.GetIPProperties().UnicastAddresses)
            .Select(unicast => unicast.Address.GetAddressBytes())
            .Where(address => address is [10, 231, _, _])
            .Select(address => (int)address[2])];
        for (int number = 1; number < NumbersEnd; number++)
        {
            string name = Invariant($"heca-test-{number}-{Environment.ProcessId}");
            if (taken.Contains(number) || File.Exists("/run/netns/" + name))
            {
                continue;
            }

            Run("netns", "add", name);

            // Who takes the wire's name has the number; another test run may have come first.
            if (TryRun(out _, "link", "add", OutsideOf(number), "type", "veth", "peer", "name", Inside, "netns", name))
            {
                return (number, name);
            }

            Remove(name, null);
        }

        throw new InvalidOperationException("no network 10.231.N.0 is free");
    }

    private static void Remove(string name, string? wire)
    {
        if (wire is not null)
        {
            // At once, also while a process is in there: the namespace itself goes with the last of them.
            _ = TryRun(out _, "link", "delete", wire);
        }

        _ = TryRun(out _, "netns", "delete", name);
    }

    private static string? FindObstacle()
    {
        if (!File.Exists(Ip))
        {
            return "no /usr/sbin/ip: apt-get install iproute2";
        }

        if (Libc.EffectiveUser() != 0)
        {
            return "network namespaces are made by root";
        }

        RemoveLeftOvers();
        string name = Invariant($"heca-test-0-{Environment.ProcessId}");
        bool isMade = TryRun(out string why, "netns", "add", name) && TryRun(out why, "-n", name, "link", "add", "probe", "type", "veth");
        Remove(name, null);
        return isMade ? null : "this host makes no network namespace with a veth pair: " + why;
    }

    private static void RemoveLeftOvers()
    {
        foreach (string name in Directory.Exists("/run/netns") ? Directory.GetFiles("/run/netns").Select(path => Path.GetFileName(path)!) : [])
        {
            Match ours = NamePattern().Match(name);
            if (ours.Success && !Directory.Exists("/proc/" + ours.Groups[2].Value))
            {
                Remove(name, "heca-test-" + ours.Groups[1].Value);
            }
        }
    }

    private static string OutsideOf(int number) => Invariant($"heca-test-{number}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static void Run(params string[] arguments)
    {
        if (!TryRun(out string why, arguments))
        {
            throw new InvalidOperationException($"ip {string.Join(' ', arguments)}: {why}");
        }
    }

    private static bool TryRun(out string why, params string[] arguments)
    {
        using Process ip = Process.Start(new ProcessStartInfo(Ip, arguments) { RedirectStandardError = true })!;
        why = ip.StandardError.ReadToEnd().Trim();
        Xunit.Assert.True(ip.WaitForExit(s_deadline), $"ip {string.Join(' ', arguments)} does not end");
        return ip.ExitCode == 0;
    }

    [GeneratedRegex(@"^heca-test-(\d+)-(\d+)$")]
    private static partial Regex NamePattern();
}
