using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Install;

/// <summary>
/// Makes pages that a process shares with another since a fork its own: a write from memory that cannot be read. The kernel prepares the target for
/// the write, which is what copies a shared page, then finds nothing to write.
/// </summary>
internal sealed unsafe class PageUnsharing : PageHelper
{
    private readonly void* _unreadable = Libc.Map(null, PageSize.Bytes, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);

    public PageUnsharing(int process)
        : base(process, "heca-unshare") => Start();

    protected override int Work(IoVector* pages, int count)
    {
        // One at a time: the first that fails, as all do, would end the call.
        var local = new IoVector(_unreadable, PageSize.Bytes);
        for (int i = 0; i < count; i++)
        {
            _ = Libc.WriteProcessMemory(Process, &local, 1, pages + i, 1, 0);
        }

        return 0;
    }

    protected override void Free() => _ = Libc.Unmap(_unreadable, PageSize.Bytes);
}
