using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Host;

/// <summary>All that the probes judge: files, and what can only be learnt by trying.</summary>
internal sealed record HostFacts
{
    /// <summary>The library that the control plane is bound to (Debian: libzmq5).</summary>
    public const string ZeroMqLibrary = "libzmq.so.5";

    public required HostFiles Files { get; init; }

    public required UserfaultfdOpening Userfaultfd { get; init; }

    public required bool ZeroMqLoads { get; init; }

    public required uint EffectiveUser { get; init; }

    public required int ProcessId { get; init; }

    /// <summary>CPUs that this process may run on.</summary>
    public required int Processors { get; init; }

    /// <summary>This host, as this process may use it.</summary>
    public static HostFacts Read() => new()
    {
        Files = new HostFiles(),
        Userfaultfd = UserfaultfdOpening.Try(),
        ZeroMqLoads = LoadsLibrary(ZeroMqLibrary),
        EffectiveUser = Libc.EffectiveUser(),
        ProcessId = Environment.ProcessId,
        Processors = Environment.ProcessorCount,
    };

    /// <summary>True when the process has the capability with this number in its effective set (capabilities(7)).</summary>
    public bool HasCapability(int number) =>
        ulong.TryParse(Files.ReadValue("/proc/self/status", "CapEff"), System.Globalization.NumberStyles.HexNumber, null, out ulong set)
        && (set >> number & 1) != 0;

    private static bool LoadsLibrary(string name)
    {
        if (!NativeLibrary.TryLoad(name, out nint handle))
        {
            return false;
        }

        NativeLibrary.Free(handle);
        return true;
    }
}
