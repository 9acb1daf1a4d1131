using System.Reflection;
using System.Runtime.InteropServices;

namespace Hecatonchire.Native;

/// <summary>
/// libheca.so, found beside the program and checked once. Every method returns 0 or a negative errno.
/// </summary>
/// <remarks>
/// No SuppressGCTransition here but for what reads a word: every other call may wait for the pager, and a collection must go on meanwhile.
/// </remarks>
internal static unsafe partial class HecaLibrary
{
    /// <summary>HECA_ABI_VERSION of the heca.h that this assembly was written against.</summary>
    public const int AbiVersion = 1;

    private const string Library = "heca";
    private const string FileName = "libheca.so";

    private static volatile bool s_checked;

    static HecaLibrary() => NativeLibrary.SetDllImportResolver(typeof(HecaLibrary).Assembly, Resolve);

    /// <summary>Throws a <see cref="SponsoredMemoryException"/> if the library is missing or of another version.</summary>
    public static void EnsureLoaded()
    {
        if (s_checked)
        {
            return;
        }

        int version;
        try
        {
            version = AbiVersionOfLibrary();
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw new SponsoredMemoryException(
                "loading " + FileName,
                HecaErrno.ENOENT,
                $"{FileName} must lie beside the program, in {AppContext.BaseDirectory}, or where the dynamic linker looks",
                e);
        }

        if (version != AbiVersion)
        {
            throw new SponsoredMemoryException(
                "loading " + FileName,
                HecaErrno.EPROTO,
                $"it has interface version {version} and this assembly needs {AbiVersion}: install both from one build");
        }

        s_checked = true;
    }

    [LibraryImport(Library, EntryPoint = "heca_abi_version")]
    private static partial int AbiVersionOfLibrary();

    [LibraryImport(Library, EntryPoint = "heca_segment_allocate")]
    public static partial int SegmentAllocate(ulong bytes, ulong reserveBytes, void** address);

    [LibraryImport(Library, EntryPoint = "heca_segment_free")]
    public static partial int SegmentFree(void* address);

    [LibraryImport(Library, EntryPoint = "heca_segment_resize")]
    public static partial int SegmentResize(SegmentHandle segment, ulong bytes);

    /// <summary>What the segment at <paramref name="address"/> has now; 0 where there is none.</summary>
    public static ulong SizeOf(void* address)
    {
        ulong bytes = 0;
        return SegmentSize(address, &bytes) == 0 ? bytes : 0;
    }

    [LibraryImport(Library, EntryPoint = "heca_segment_size")]
    [SuppressGCTransition]
    private static partial int SegmentSize(void* address, ulong* bytes);

    [LibraryImport(Library, EntryPoint = "heca_segment_advise")]
    public static partial int SegmentAdvise(void* address, ulong bytes, int advice);

    [LibraryImport(Library, EntryPoint = "heca_statistics_read")]
    public static partial int StatisticsRead(SponsoredMemoryStatistics* statistics);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? paths)
    {
        if (name != Library)
        {
            return 0;
        }

        // The copy that was built with this program comes before one that is installed.
        return NativeLibrary.TryLoad(Path.Combine(AppContext.BaseDirectory, FileName), out nint handle)
            || NativeLibrary.TryLoad(FileName, assembly, paths, out handle) ? handle : 0;
    }
}
