using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hecatonchire.Transport.Rdma;

/// <summary>struct heca_rdma_device.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RdmaDevice
{
    public const int NameBytes = 64;

    public fixed byte Name[NameBytes];
    public uint Ports;
    public uint PortsActive;

    /// <summary>max_qp_rd_atom: READs that one queue answers at a time.</summary>
    public uint ReadsInFlight;

    /// <summary>max_qp_init_rd_atom: READs that one queue has under way at a time.</summary>
    public uint ReadsToStart;
    public uint RequestsMax;
    public uint CompletionsMax;

    public readonly string DisplayName
    {
        get
        {
            fixed (byte* name = Name)
            {
                return Marshal.PtrToStringUTF8((nint)name) ?? "";
            }
        }
    }
}

internal enum RdmaEventKind : uint
{
    AddressResolved = 1,
    RouteResolved = 2,
    ConnectRequest = 3,
    Established = 4,
    Disconnected = 5,
    Rejected = 6,
    Failed = 7,
    DeviceRemoved = 8,
    Other = 9,
}

/// <summary>struct heca_rdma_event.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RdmaEvent
{
    public const int PrivateBytesMax = 224;

    public nint Id;
    public RdmaEventKind Kind;

    /// <summary>-errno of a failure; of a rejection the reason of the connection manager.</summary>
    public int Status;
    public uint ReadsToStart;
    public uint ReadsInFlight;
    public uint PrivateBytes;
    public uint Reserved;
    public fixed byte PrivateData[PrivateBytesMax];
}

/// <summary>struct heca_rdma_queue_options.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RdmaQueueOptions
{
    public uint Requests;
    public uint Receives;
}

/// <summary>struct heca_rdma_queue.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RdmaQueue
{
    public nint Pair;
    public nint Completions;
    public nint Channel;
    public int Descriptor;
    public uint Number;

    /// <summary>Not 0 once the device has said that the queue is beyond use.</summary>
    public int* Failed;
}

internal enum RdmaOp : ushort
{
    Read = 1,
    Write = 2,
}

[Flags]
internal enum RdmaFlags : ushort
{
    None = 0,

    /// <summary>No completion where it succeeds.</summary>
    Unsignalled = 1,
}

/// <summary>struct heca_rdma_request.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RdmaRequest
{
    public ulong Cookie;
    public ulong Local;
    public ulong Remote;
    public uint Bytes;
    public uint LocalKey;
    public uint RemoteKey;
    public RdmaOp Op;
    public RdmaFlags Flags;
}

/// <summary>struct heca_rdma_completion.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RdmaCompletion
{
    public ulong Cookie;

    /// <summary>enum ibv_wc_status: 0 is success.</summary>
    public int Status;
    public uint Bytes;
}

/// <summary>
/// libheca_rdma.so, one to one (native/rdma/heca_rdma.h): results are 0 or a count, or -errno. A first call throws
/// <see cref="DllNotFoundException"/> where it, or rdma-core, is not installed; <see cref="RdmaHost"/> turns that into advice.
/// </summary>
internal static unsafe partial class RdmaLibrary
{
    private const string Library = "libheca_rdma.so";

    /// <summary>What this build was written against.</summary>
    public const int Version = 3;

    [LibraryImport(Library, EntryPoint = "heca_rdma_version")]
    public static partial int LibraryVersion();

    [LibraryImport(Library, EntryPoint = "heca_rdma_devices")]
    public static partial int Devices(RdmaDevice* devices, int capacity);

    [LibraryImport(Library, EntryPoint = "heca_rdma_channel_open")]
    public static partial int OpenChannel(nint* channel, int* descriptor);

    [LibraryImport(Library, EntryPoint = "heca_rdma_channel_close")]
    public static partial void CloseChannel(nint channel);

    [LibraryImport(Library, EntryPoint = "heca_rdma_id_open")]
    public static partial int OpenId(nint channel, nint* id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_listen")]
    public static partial int Listen(nint id, void* address, int backlog);

    [LibraryImport(Library, EntryPoint = "heca_rdma_port")]
    public static partial int Port(nint id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_resolve_address")]
    public static partial int ResolveAddress(nint id, void* address, int timeoutMs);

    [LibraryImport(Library, EntryPoint = "heca_rdma_resolve_route")]
    public static partial int ResolveRoute(nint id, int timeoutMs);

    [LibraryImport(Library, EntryPoint = "heca_rdma_connect")]
    public static partial int Connect(nint id, void* privateData, byte bytes, byte readsToStart);

    [LibraryImport(Library, EntryPoint = "heca_rdma_accept")]
    public static partial int Accept(nint id, void* privateData, byte bytes, byte readsInFlight);

    [LibraryImport(Library, EntryPoint = "heca_rdma_reject")]
    public static partial int Reject(nint id, void* privateData, byte bytes);

    [LibraryImport(Library, EntryPoint = "heca_rdma_disconnect")]
    public static partial int Disconnect(nint id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_id_close")]
    public static partial void CloseId(nint id, RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_next_event")]
    public static partial int NextEvent(nint channel, RdmaEvent* received);

    [LibraryImport(Library, EntryPoint = "heca_rdma_device_of")]
    public static partial int DeviceOf(nint id, RdmaDevice* device);

    [LibraryImport(Library, EntryPoint = "heca_rdma_async_descriptor")]
    public static partial int AsyncDescriptor(nint id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_take_async")]
    public static partial int TakeAsync(nint id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_context_of")]
    public static partial ulong ContextOf(nint id);

    [LibraryImport(Library, EntryPoint = "heca_rdma_domain_open")]
    public static partial int OpenDomain(nint id, nint* domain);

    [LibraryImport(Library, EntryPoint = "heca_rdma_domain_close")]
    public static partial int CloseDomain(nint domain);

    [LibraryImport(Library, EntryPoint = "heca_rdma_queue_open")]
    public static partial int OpenQueue(nint id, nint domain, RdmaQueueOptions* options, RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_queue_close")]
    public static partial void CloseQueue(nint id, RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_queue_fail")]
    public static partial int FailQueue(RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_register")]
    public static partial int Register(
        nint domain, void* memory, ulong bytes, int remote, nint* region, uint* localKey, uint* remoteKey);

    [LibraryImport(Library, EntryPoint = "heca_rdma_deregister")]
    public static partial int Deregister(nint region);

    [LibraryImport(Library, EntryPoint = "heca_rdma_post")]
    public static partial int Post(RdmaQueue* queue, RdmaRequest* requests, int count, int* status);

    /// <summary>Never enters the kernel on a device that is driven from user space, and never waits.</summary>
    [LibraryImport(Library, EntryPoint = "heca_rdma_poll")]
    [SuppressGCTransition]
    public static partial int Poll(RdmaQueue* queue, RdmaCompletion* completions, int capacity);

    [LibraryImport(Library, EntryPoint = "heca_rdma_arm")]
    public static partial int Arm(RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_disarm")]
    public static partial void Disarm(RdmaQueue* queue);

    [LibraryImport(Library, EntryPoint = "heca_rdma_status_text")]
    private static partial nint StatusText(int status);

    /// <summary>A completion's status in words.</summary>
    public static string Describe(int status) => Marshal.PtrToStringUTF8(StatusText(status)) ?? $"status {status}";
}
