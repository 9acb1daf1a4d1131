using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Rdma;

/// <summary>What this host has for RDMA.</summary>
internal static unsafe class RdmaHost
{
    private const string DevicesFolder = "/sys/class/infiniband";
    private const int DevicesMax = 16;

    /// <summary>Null when there is a device with an active port; else one line that says what is missing, and the remedy.</summary>
    public static string? Missing()
    {
        try
        {
            int version = RdmaLibrary.LibraryVersion();
            if (version != RdmaLibrary.Version)
            {
                return $"libheca_rdma.so is of version {version}, this program needs {RdmaLibrary.Version}; install both from one build";
            }

            RdmaDevice* devices = stackalloc RdmaDevice[DevicesMax];
            int count = RdmaLibrary.Devices(devices, DevicesMax);
            return count switch
            {
                < 0 => $"the RDMA devices cannot be listed: {Errno.Describe(-count)}",
                0 => "no RDMA device on this host (`rdma link` lists them; soft RoCE: rdma link add rxe0 type rxe netdev NAME)",
                _ => IsActive(devices, Math.Min(count, DevicesMax))
                    ? null
                    : $"RDMA device {devices[0].DisplayName} has no active port (`rdma link` shows its state)",
            };
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            return File.Exists(Path.Combine(AppContext.BaseDirectory, "libheca_rdma.so"))
                ? "libheca_rdma.so cannot be loaded: install rdma-core (Debian: librdmacm1 ibverbs-providers)"
                : "this build has no libheca_rdma.so: install libibverbs-dev and librdmacm-dev and build again";
        }
    }

    /// <summary>An IPv4 address of a network interface that an RDMA device works over; null where there is none.</summary>
    public static IPAddress? Address()
    {
        if (!Directory.Exists(DevicesFolder))
        {
            return null;
        }

        HashSet<string> interfaces = [];
        foreach (string device in Directory.EnumerateDirectories(DevicesFolder).Order(StringComparer.Ordinal))
        {
            foreach (string port in Directory.EnumerateDirectories(Path.Combine(device, "ports")))
            {
                AddInterfaces(Path.Combine(port, "gid_attrs", "ndevs"), interfaces);
            }
        }

        return NetworkInterface.GetAllNetworkInterfaces()
            .Where(card => interfaces.Contains(card.Name) && card.OperationalStatus == OperationalStatus.Up)
            .SelectMany(card => card.GetIPProperties().UnicastAddresses)
            .Select(entry => entry.Address)
            .FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));
    }

    /// <summary>
    /// Null when this process may pin so many bytes for a device; else one line that says what forbids it, and the remedy.
    /// </summary>
    public static string? PinLimit(long bytes)
    {
        ResourceLimit limit;
        bool isLimited = Libc.GetResourceLimit(Libc.RLIMIT_MEMLOCK, &limit) == 0 && limit.Current < (ulong)bytes;
        return isLimited && !MayPinAll()
            ? $"RLIMIT_MEMLOCK is {new ByteSize((long)limit.Current)}, and RDMA pins {new ByteSize(bytes)}: "
                + "`ulimit -l unlimited`, LimitMEMLOCK=infinity in a unit, or CAP_IPC_LOCK"
            : null;
    }

    /// <summary>CAP_IPC_LOCK is in effect.</summary>
    private static bool MayPinAll()
    {
        const int IpcLock = 14;
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("CapEff:", StringComparison.Ordinal));
        return line is not null
            && ulong.TryParse(line.AsSpan("CapEff:".Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong capabilities)
            && (capabilities & (1UL << IpcLock)) != 0;
    }

    private static bool IsActive(RdmaDevice* devices, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (devices[i].PortsActive > 0)
            {
                return true;
            }
        }

        return false;
    }

    private static void AddInterfaces(string folder, HashSet<string> interfaces)
    {
        if (!Directory.Exists(folder))
        {
            return;
        }

        foreach (string file in Directory.EnumerateFiles(folder))
        {
            try
            {
                _ = interfaces.Add(File.ReadAllText(file).Trim());
            }
            catch (IOException)
            {
                // An entry of the table that is not in use.
            }
        }
    }
}
