using Hecatonchire.Interop;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Install;

/// <summary>Copies pages out of a running program, and hashes them.</summary>
internal sealed unsafe class PageSnapshots : PageHelper
{
    public const int PagesMax = 64;

    private readonly PageHash _hash;
    private readonly ulong[] _hashes = new ulong[PagesMax];

    /// <param name="process">The program.</param>
    /// <param name="hash">What its evictor hashes with.</param>
    public PageSnapshots(int process, PageHash hash)
        : base(process, "heca-cleaner")
    {
        _hash = hash;
        Start();
    }

    /// <summary>The copies, in the order of the addresses.</summary>
    public byte* Data { get; } = NativeMemoryMap.Populate(PagesMax << PageSize.Shift);

    public ulong Hash(int index) => _hashes[index];

    protected override int Work(IoVector* pages, int count)
    {
        nuint length = (nuint)count << PageSize.Shift;
        var local = new IoVector(Data, length);
        nint got = Libc.ReadProcessMemory(Process, &local, 1, pages, (nuint)count, 0);
        if (got != (nint)length)
        {
            return got < 0 ? Libc.Errno : Errno.EFAULT;
        }

        for (int i = 0; i < count; i++)
        {
            _hashes[i] = _hash.Compute(Data + ((nint)i << PageSize.Shift));
        }

        return 0;
    }

    protected override void Free() => _ = Libc.Unmap(Data, PagesMax << PageSize.Shift);
}
