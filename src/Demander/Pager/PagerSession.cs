using System.Net.Sockets;
using Hecatonchire.Capture;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Pressure;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>
/// One program with its pager: what came in its HELLO, and what is made for it alone. Built and used by the thread that serves it; disposing returns
/// everything, and with its family's last session the family's.
/// </summary>
internal sealed unsafe partial class PagerSession : IDisposable
{
    private readonly PagerOptions _options;
    private readonly PagerFamily _family;
    private readonly List<IDisposable> _owned = [];
    private PagerMember _member;
    private int[] _descriptors;
    private int _forProgram = -1;
    private TablesRecord? _record;
    private MemoryCapture? _capture;
    private PageTableFile? _tables;

    /// <summary>The pager thread knows the member.</summary>
    private bool _isServed;

    /// <param name="options">As the pager was started.</param>
    /// <param name="family">Joined already. Started here where there is neither <paramref name="child"/> nor <paramref name="left"/>.</param>
    /// <param name="child">The member that the family made of it when it was forked; null: a program of its own, or one that another pager has had.</param>
    /// <param name="socket">Where its requests come from.</param>
    /// <param name="process">Its id.</param>
    /// <param name="hello">What it said.</param>
    /// <param name="descriptors">Of the HELLO; the session's from now on. A child has no userfaultfd to give to its first pager.</param>
    /// <param name="onMustStop">Called on the pager thread when it must be stopped.</param>
    /// <param name="left">What the program's last pager has left, if it had one; to be gone on from with <see cref="Begin"/>.</param>
    /// <param name="logger">The pager's.</param>
    public PagerSession(PagerOptions options, PagerFamily family, PagerMember? child, Socket socket, int process, in HandoverMessage hello,
        ReadOnlySpan<int> descriptors, Action<PagerSession> onMustStop, PageTableFile? left, ILogger logger)
    {
        (_options, _family, _member, Process, IsForked) = (options, family, child!, process, hello.IsForked);
        (_descriptors, _isServed) = (descriptors.ToArray(), child is not null);
        try
        {
            if (left is null)
            {
                Open(child, socket, in hello, onMustStop, null, logger);
                return;
            }

            lock (family.Gate)
            {
                if (!family.IsOnTrial)
                {
                    throw new InvalidDataException("the processes that share memory with it have gone on without it");
                }

                Open(null, socket, in hello, onMustStop, left, logger);
            }
        }
        catch
        {
            DisposeOwned();
            throw;
        }
    }

    private void Open(PagerMember? child, Socket socket, in HandoverMessage hello, Action<PagerSession> onMustStop, PageTableFile? left, ILogger logger)
    {
        ReadOnlySpan<int> descriptors = _descriptors;
        ReadOnlySpan<int> ringDescriptors = child is null ? descriptors[1..] : descriptors;
        if (child is not null)
        {
            _tables = child.Tables is null ? null : Own(child.Tables);
            _ = Own(child.Memory);
            _ = Own(child.Core);
        }

        bool captures = (hello.Value2 & HandoverAbi.CanCapture) != 0;
        CommandRing ring = Own(new CommandRing(ringDescriptors[0], ringDescriptors[1], _family.Hash.Key));
        PageSnapshots? snapshots = _options.Clean && !IsForked ? Own(new PageSnapshots(Process, _family.Hash)) : null;
        PageUnsharing? unsharing = captures ? Own(new PageUnsharing(Process)) : null;
        AddressRange[] keptOut = captures ? KeptOut(in hello) : [];
        ulong staging = hello.Address;
        if (child is null)
        {
            _tables = _options.StateFolder is not null && (hello.Value2 & HandoverAbi.CanMove) != 0 ? Own(PageTableFile.Create()) : null;
            KernelProgramMemory own = Own(new KernelProgramMemory(descriptors[0], hello.Value2, _tables is null ? null : _tables.Messages));
            own.Attach(Process, staging, ring, snapshots, unsharing);
            _member = _family.MakeMember(own, captures, keptOut, captures ? hello.Value3 : 0, isChild: IsForked, tables: _tables);
            _ = Own(_member.Core);
        }

        KernelProgramMemory memory = _member.Memory;
        CgroupMemory? group = CgroupMemory.Find(Process);
        PressureMonitor? pressure = group is null ? null : Own(new PressureMonitor(group));
        var parts = (Completions: ringDescriptors[2], Socket: (int)socket.Handle);
        void Complete()
        {
            _member.Ring = ring;
            (_member.CompletionsEvent, _member.Socket, _member.Pressure) = (parts.Completions, parts.Socket, pressure);
            _member.SnapshotDone = snapshots?.DoneDescriptor ?? -1;
            _member.UnshareDone = unsharing?.DoneDescriptor ?? -1;
            _member.OnMustStop = () =>
            {
                onMustStop(this);
                return true;
            };
            _member.OnRemoved = null;
        }

        if (child is null)
        {
            Complete();
            _member.Placement = _options.Spin && Environment.ProcessorCount > 1 && !IsForked ? new CorePlacement(Process, ring) : null;
        }
        else
        {
            _family.RunOn(() => _family.Thread.Rewatch(child, () =>
            {
                memory.Attach(Process, staging, ring, snapshots, unsharing);
                memory.NoteCaptured();
                Core.KeptOut = keptOut;
                Complete();
            }));
        }

        if (_tables is not null)
        {
            GiveTables(left is null ? null : PageTableFile.IdentityOf(descriptors[^1]));
        }

        if (captures)
        {
            CapturedSession captured = Own(new CapturedSession(Process, this, memory, ring, keptOut, _options.Local, pressure));
            _capture = new MemoryCapture(captured, _options.Capture, logger) { IsCapturing = child is not null || ring.HasCaptured };
        }

        if (left is not null)
        {
            Core.TakeOver(left, KernelProgramMemory.ChangesIn(left.Messages, left.MessagesNoted));
            NoteSegmentsLeft();
            return;
        }

        if (child is null)
        {
            _family.Start(_member);
            _isServed = true;
        }

        _capture?.Start();
    }

    /// <summary>The program is to hold what its next pager needs. It may come to that one with what it has had before (<paramref name="before"/>), too.</summary>
    private void GiveTables(string? before)
    {
        PageTableFile tables = _tables!;
        _family.RunOn(() => _family.Pool.WriteTo(tables));
        _forProgram = tables.OpenForProgram();
        if (_forProgram >= 0)
        {
            _descriptors = [.. _descriptors, _forProgram];
            _record = new TablesRecord(_options.StateFolder!, Process);
            _record.Write(_family.Demander, before is null ? [tables.Identity] : [before, tables.Identity]);
        }
    }

    /// <summary>
    /// A program that another pager has had holds what it needs to go on with this one: it is served when all that share memory with it do. False when they have
    /// gone on without it.
    /// </summary>
    public bool Begin()
    {
        if (!_family.Begin(this, _options.StateFolder!))
        {
            return false;
        }

        _capture?.Start();
        return true;
    }

    /// <summary>From now on it may come to another pager with the new tables only.</summary>
    public void AgreeOnTables() => _record!.Write(_family.Demander, _tables!.Identity);

    /// <summary>The member to be served from now on.</summary>
    public PagerMember BeginServing()
    {
        Core.BeginAfterTakeOver();
        _isServed = true;
        return _member;
    }

    public int Process { get; }

    public PagerFamily Family => _family;

    public PagerCore Core => _member.Core;

    /// <summary>A child of a captured program.</summary>
    public bool IsForked { get; }

    /// <summary>What comes with the answer to its HELLO: a child's userfaultfd, which its evictor needs, where it does not have it; and what its next pager needs to know.</summary>
    public int[] DescriptorsForProgram =>
        [.. new[] { _member.Memory.OwnsDescriptor ? _member.Memory.Descriptor : -1, _forProgram }.Where(descriptor => descriptor >= 0)];

    /// <summary>Bytes the pager thread has allocated since it started.</summary>
    public long PagerThreadAllocatedBytes => Volatile.Read(ref _family.Thread.AllocatedBytes);

    public int Advise(ulong address, ulong bytes, int advice) => Execute(
        new PagerRequest(PagerRequestKind.Advise) { Address = address, Pages = (long)(bytes >> PageSize.Shift), Advice = advice });

    public bool EnsureFreeSlots() => _family.Pool.EnsureFreeSlots();

    /// <summary>Has the pager thread carry a request out, disposes it and returns its status.</summary>
    public int Execute(PagerRequest request)
    {
        using (request)
        {
            _family.Thread.Execute(Core, request);
            return request.Status;
        }
    }

    public void Dispose()
    {
        EndLooks();
        if (!_family.IsOnTrial)
        {
            _record?.Delete();
        }

        DisposeOwned();
        _family.Leave();
    }

    /// <summary>Memory that the evictor in the program stands on.</summary>
    private static AddressRange[] KeptOut(in HandoverMessage hello)
    {
        var kept = new List<AddressRange>();
        ReadOnlySpan<ulong> pairs = hello.Payload;
        for (int i = 0; i + 1 < pairs.Length && pairs[i] != 0; i += 2)
        {
            kept.Add(new AddressRange(pairs[i], pairs[i] + pairs[i + 1]));
        }

        return [.. kept];
    }

    private T Own<T>(T resource)
        where T : IDisposable
    {
        _owned.Add(resource);
        return resource;
    }

    private void DisposeOwned()
    {
        _capture?.Dispose();
        if (_member is not null)
        {
            if (_isServed)
            {
                _family.Thread.Remove(_member);
            }
            else
            {
                // The program may hold these tables, and come to another pager with them, or to this one again.
                _ = _tables is null || (_tables.IsKept = true);
                _family.RunOn(Core.Abandon);
            }

            if (_tables is { } tables)
            {
                _family.RunOn(() => _family.Pool.StopWritingTo(tables));
            }

            if (_member.EndsUndrained)
            {
                _family.Stop();
            }
        }

        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }

        _owned.Clear();
        foreach (int descriptor in _descriptors)
        {
            _ = Libc.Close(descriptor);
        }
    }
}
