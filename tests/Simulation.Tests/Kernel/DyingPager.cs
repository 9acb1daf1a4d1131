using Hecatonchire.Install;
using Hecatonchire.Pages;
using Hecatonchire.Transport;

namespace Hecatonchire.Tests.Kernel;

/// <summary>The pager's process ends here, in the midst of what it does.</summary>
internal sealed class PagerDeathException : Exception;

/// <summary>When a pager dies: before or after one of the calls that it makes, which is all that others see of it.</summary>
internal sealed class PagerDeath
{
    private int _calls;

    /// <summary>Changes of the address space in the last read, until they are forgotten: what the kernel has put where it outlives the pager.</summary>
    public List<FaultEvent> Messages { get; } = [];

    /// <summary>0: it does not die.</summary>
    public void After(int calls) => _calls = calls;

    public void Tick()
    {
        if (_calls > 0 && --_calls == 0)
        {
            throw new PagerDeathException();
        }
    }

    public T Around<T>(Func<T> call)
    {
        Tick();
        T result = call();
        Tick();
        return result;
    }
}

/// <summary>A connection of a pager that may die.</summary>
internal sealed unsafe class DyingConnection(IDataConnection inner, PagerDeath death) : IDataConnection
{
    public string Transport => inner.Transport;

    public int PagesPerRequestMax => inner.PagesPerRequestMax;

    public int FreeRequests => inner.FreeRequests;

    public bool IsBroken => inner.IsBroken;

    public string? BreakReason => inner.BreakReason;

    public int WaitDescriptor => inner.WaitDescriptor;

    public uint WaitEvents => inner.WaitEvents;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer)
    {
        death.Tick();
        return inner.TryPostRead(cookie, slab, slot, pages, buffer);
    }

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer)
    {
        death.Tick();
        return inner.TryPostWrite(cookie, slab, slot, pages, buffer);
    }

    public void Submit()
    {
        death.Tick();
        inner.Submit();
        death.Tick();
    }

    public int Poll(Span<DataCompletion> completions)
    {
        death.Tick();
        int count = inner.Poll(completions);
        death.Tick();
        return count;
    }

    public bool PrepareToWait() => inner.PrepareToWait();

    public void Dispose() => inner.Dispose();
}

/// <summary>The program's memory as a pager sees it that may die.</summary>
internal sealed unsafe class DyingMemory(IProgramMemory inner, PagerDeath death) : IProgramMemory
{
    public bool TellsChanges => inner.TellsChanges;

    public bool CanSnapshot => inner.CanSnapshot;

    public byte* SnapshotData => inner.SnapshotData;

    public bool IsUnshareDone => inner.IsUnshareDone;

    public bool HasEvictor => inner.HasEvictor;

    public int FreeCommands => inner.FreeCommands;

    public bool CanProtect => inner.CanProtect;

    public bool TakeCopies => inner.TakeCopies;

    public int ReadFaults(Span<FaultEvent> faults)
    {
        death.Tick();
        int count = inner.ReadFaults(faults);
        for (int i = 0; i < count; i++)
        {
            if (faults[i].IsChange)
            {
                death.Messages.Add(faults[i]);
            }
        }

        death.Tick();
        return count;
    }

    public void ForgetFaults()
    {
        death.Tick();
        inner.ForgetFaults();
        death.Messages.Clear();
        death.Tick();
    }

    public void NoteCaptured() => inner.NoteCaptured();

    public bool AcknowledgeFork(out bool begins) => inner.AcknowledgeFork(out begins);

    public int Copy(ulong address, byte* source, int pages, CopyMode mode, out int copied)
    {
        death.Tick();
        int status = inner.Copy(address, source, pages, mode, out copied);
        death.Tick();
        return status;
    }

    public int ZeroPage(ulong address) => death.Around(() => inner.ZeroPage(address));

    public int Poison(ulong address) => death.Around(() => inner.Poison(address));

    public int Wake(ulong address, long pages) => death.Around(() => inner.Wake(address, pages));

    public int Register(ulong address, long pages) => death.Around(() => inner.Register(address, pages));

    public int FindRegistered(ulong address, long pages = 1) => inner.FindRegistered(address, pages);

    public int FindPresent(ulong address, long pages, Span<AddressRange> found) => inner.FindPresent(address, pages, found);

    public int FindStaged(int first, int pages, Span<AddressRange> found) => inner.FindStaged(first, pages, found);

    public int Unprotect(ulong address, int pages) => death.Around(() => inner.Unprotect(address, pages));

    public int ReadStaging(int index, int pages, byte* target)
    {
        death.Tick();
        return inner.ReadStaging(index, pages, target);
    }

    public ulong StagedHash(int index) => inner.StagedHash(index);

    public void PostSnapshot(ReadOnlySpan<ulong> addresses) => inner.PostSnapshot(addresses);

    public bool IsSnapshotDone(out int errno) => inner.IsSnapshotDone(out errno);

    public ulong SnapshotHash(int index) => inner.SnapshotHash(index);

    public void PostUnshare(ReadOnlySpan<ulong> addresses) => inner.PostUnshare(addresses);

    public void PostTake(ulong address, int pages, int stagingIndex, ulong cookie)
    {
        death.Tick();
        inner.PostTake(address, pages, stagingIndex, cookie);
    }

    public void PostRecycle(int stagingIndex, int pages, ulong cookie)
    {
        death.Tick();
        inner.PostRecycle(stagingIndex, pages, cookie);
    }

    public void PostDrop(ulong address, int pages, ulong cookie)
    {
        death.Tick();
        inner.PostDrop(address, pages, cookie);
    }

    public bool CanResize => inner.CanResize;

    public void PostResize(ulong address, long pages, ulong cookie)
    {
        death.Tick();
        inner.PostResize(address, pages, cookie);
    }

    public void SubmitCommands()
    {
        death.Tick();
        inner.SubmitCommands();
        death.Tick();
    }

    public int PollCompletions(Span<EvictorCompletion> completions)
    {
        death.Tick();
        int count = inner.PollCompletions(completions);
        death.Tick();
        return count;
    }
}
