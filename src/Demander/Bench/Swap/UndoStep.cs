using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Cli;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// How to take back one thing that was done to this host. Doing it again, or where there is nothing to take back any more, is
/// harmless. Written as a line of words parted by tabs.
/// </summary>
internal abstract record UndoStep
{
    /// <summary>The kernel frees what ended with a process or a swap area a moment later; longer than this somebody holds it.</summary>
    private static readonly TimeSpan s_waitMax = TimeSpan.FromSeconds(5);

    /// <summary>Of files only: everything else is the kernel's, and gone after a restart of the host.</summary>
    public virtual bool OutlivesBoot => false;

    public abstract string ToLine();

    /// <summary>Ends the processes for which the step was done. Before any step is undone: swap that they use would be brought back for them.</summary>
    public virtual void EndUsers()
    {
    }

    /// <summary>Throws <see cref="IOException"/> when it is not undone.</summary>
    public abstract void Undo();

    /// <summary>Null for a line that is none of ours or was cut short.</summary>
    public static UndoStep? Parse(string line) => line.Split('\t') switch
    {
        ["swapoff", var path] => new SwapOff(path),
        ["delete", var path] => new FileRemoval(path),
        ["restore", var path, var value] => new SettingRestore(path, value),
        ["rmdir", var directory] => new GroupRemoval(directory),
        ["zram", var number, var how] when int.TryParse(number, CultureInfo.InvariantCulture, out int n) => new ZramReset(n, how == "remove"),
        _ => null,
    };

    /// <summary>Tries until <paramref name="attempt"/> gives 0; its errno otherwise.</summary>
    protected static void Insist(string what, Func<int> attempt)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            int errno = attempt();
            if (errno == 0)
            {
                return;
            }

            if (Errno.Classify(errno) != ErrnoClass.Retry || waited.Elapsed > s_waitMax)
            {
                throw new IOException($"{what}: {Errno.Describe(errno)}");
            }

            Thread.Sleep(1);
        }
    }
}

internal sealed record SwapOff(string Path) : UndoStep
{
    public override string ToLine() => $"swapoff\t{Path}";

    public override void Undo() => Insist($"swapoff {Path}", () =>
    {
        if (SwapArea.UsedBytes(Path) is null || Libc.SwapOff(Path) == 0)
        {
            return 0;
        }

        // Of an area in use EINVAL says that somebody else is turning it off at this moment.
        return Libc.Errno == Errno.EINVAL ? Errno.EBUSY : Libc.Errno;
    });
}

internal sealed record FileRemoval(string Path) : UndoStep
{
    public override bool OutlivesBoot => true;

    public override string ToLine() => $"delete\t{Path}";

    public override void Undo()
    {
        if (File.Exists(Path))
        {
            File.Delete(Path);
        }
    }
}

internal sealed record SettingRestore(string Path, string Value) : UndoStep
{
    public override string ToLine() => $"restore\t{Path}\t{Value}";

    public override void Undo() => Insist($"writing {Value} to {Path}", () => KernelSetting.TryWrite(Path, Value));
}

/// <summary>A zram device back to how it was found: without size, or not there.</summary>
internal sealed record ZramReset(int Number, bool Remove) : UndoStep
{
    public override string ToLine() => string.Create(CultureInfo.InvariantCulture, $"zram\t{Number}\t{(Remove ? "remove" : "reset")}");

    public override void Undo()
    {
        string settings = ZramDevice.SettingsOf(Number);
        if (!Directory.Exists(settings))
        {
            return;
        }

        Insist($"resetting zram{Number}", () => KernelSetting.TryWrite($"{settings}/reset", "1"));
        if (Remove)
        {
            string number = Number.ToString(CultureInfo.InvariantCulture);
            Insist($"removing zram{Number}", () => KernelSetting.TryWrite($"{ZramDevice.Control}/hot_remove", number));
        }
    }
}

/// <summary>A cgroup of ours; whatever still runs in it is a worker of ours.</summary>
internal sealed record GroupRemoval(string Directory) : UndoStep
{
    public override string ToLine() => $"rmdir\t{Directory}";

    public override void EndUsers() => Insist($"ending the processes of {Directory}", () =>
    {
        bool empty = true;
        foreach (int process in LimitedGroup.ProcessesOf(Directory))
        {
            _ = Libc.Kill(process, Libc.SIGKILL);
            empty = false;
        }

        return empty ? 0 : Errno.EBUSY;
    });

    public override void Undo() =>
        Insist($"removing {Directory}", () => Libc.RemoveDirectory(Directory) == 0 || Libc.Errno == Errno.ENOENT ? 0 : Libc.Errno);
}
