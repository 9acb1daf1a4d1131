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
internal sealed unsafe class PagerSession : IDisposable
{
    private readonly PagerFamily _family;
    private readonly PagerMember _member;
    private readonly List<IDisposable> _owned = [];
    private readonly int[] _descriptors;
    private readonly Dictionary<ulong, long> _segmentPages = [];
    private readonly int _forProgram = -1;
    private readonly TablesRecord? _record;
    private readonly MemoryCapture? _capture;
    private readonly PageTableFile? _tables;

    /// <param name="options">As the pager was started.</param>
    /// <param name="family">Joined already. Started here where there is no <paramref name="child"/>.</param>
    /// <param name="child">The member that the family made of it when it was forked; null: a program of its own.</param>
    /// <param name="socket">Where its requests come from.</param>
    /// <param name="process">Its id.</param>
    /// <param name="hello">What it said.</param>
    /// <param name="descriptors">Of the HELLO; the session's from now on. A child has no userfaultfd to give.</param>
    /// <param name="onMustStop">Called on the pager thread when it must be stopped.</param>
    /// <param name="left">What the program's last pager has left, if it had one; to be gone on from with <see cref="Begin"/>.</param>
    /// <param name="logger">The pager's.</param>
    public PagerSession(PagerOptions options, PagerFamily family, PagerMember? child, Socket socket, int process, in HandoverMessage hello,
        ReadOnlySpan<int> descriptors, Action<PagerSession> onMustStop, PageTableFile? left, ILogger logger)
    {
        (_family, _member, Process) = (family, child!, process);
        _descriptors = descriptors.ToArray();
        ReadOnlySpan<int> ringDescriptors = child is null ? descriptors[1..] : descriptors;
        try
        {
            if (child is not null)
            {
                _ = Own(child.Memory);
                _ = Own(child.Core);
            }

            bool captures = (hello.Value2 & HandoverAbi.CanCapture) != 0;
            CommandRing ring = Own(new CommandRing(ringDescriptors[0], ringDescriptors[1], family.Hash.Key));
            PageSnapshots? snapshots = options.Clean && child is null ? Own(new PageSnapshots(process, family.Hash)) : null;
            PageUnsharing? unsharing = captures ? Own(new PageUnsharing(process)) : null;
            AddressRange[] keptOut = captures ? KeptOut(in hello) : [];
            _tables = child is null && options.StateFolder is not null && (hello.Value2 & HandoverAbi.CanMove) != 0 ? Own(PageTableFile.Create()) : null;
            KernelProgramMemory memory = child?.Memory ?? Own(new KernelProgramMemory(descriptors[0], hello.Value2, _tables is null ? null : _tables.Messages));
            ulong staging = hello.Address;
            if (child is null)
            {
                memory.Attach(process, staging, ring, snapshots, unsharing);
            }

            if (child is null)
            {
                _member = family.MakeMember(memory, captures, keptOut, captures ? hello.Value3 : 0, tables: _tables);
                _ = Own(_member.Core);
            }

            CgroupMemory? group = CgroupMemory.Find(process);
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
                family.Pool.WriteTo(_tables);
                _forProgram = _tables?.OpenForProgram() ?? -1;
                if (_forProgram >= 0)
                {
                    _descriptors = [.. _descriptors, _forProgram];
                    _record = new TablesRecord(options.StateFolder!, process);
                    _record.Write(left is null ? [_tables!.Identity] : [PageTableFile.IdentityOf(descriptors[^1]), _tables!.Identity]);
                }

                if (left is not null)
                {
                    Core.TakeOver(left);
                    foreach ((int _, ulong address, long pages) in left.Segments)
                    {
                        _segmentPages[address] = pages;
                    }
                }

                _member.Placement = options.Spin && Environment.ProcessorCount > 1 ? new CorePlacement(process, ring) : null;
                if (left is null)
                {
                    Start();
                }
            }
            else
            {
                family.Thread.RunOn(() => family.Thread.Rewatch(child, () =>
                {
                    memory.Attach(process, staging, ring, snapshots, unsharing);
                    memory.NoteCaptured();
                    Core.KeptOut = keptOut;
                    Complete();
                }));
            }

            if (captures)
            {
                CapturedSession captured = Own(new CapturedSession(process, this, memory, ring, keptOut, options.Local, pressure));
                _capture = new MemoryCapture(captured, options.Capture, logger) { IsCapturing = child is not null || ring.HasCaptured };
                if (left is null)
                {
                    _capture.Start();
                }
            }
        }
        catch
        {
            DisposeOwned();
            throw;
        }
    }

    /// <summary>A program that another pager has had holds what it needs to go on with this one: from now on it is served.</summary>
    public void Begin()
    {
        _record?.Write(_tables!.Identity);
        _family.IsOnTrial = false;
        Core.BeginAfterTakeOver();
        Start();
        _capture?.Start();
    }

    public int Process { get; }

    public PagerFamily Family => _family;

    public PagerCore Core => _member.Core;

    public bool IsForked => _member.Memory.OwnsDescriptor;

    /// <summary>The child's userfaultfd, which its evictor needs; of a program that has its own, what its next pager needs to know; -1: nothing.</summary>
    public int DescriptorForProgram => IsForked ? _member.Memory.Descriptor : _forProgram;

    /// <summary>Bytes the pager thread has allocated since it started.</summary>
    public long PagerThreadAllocatedBytes => Volatile.Read(ref _family.Thread.AllocatedBytes);

    /// <summary>
    /// Adds a segment. Room for every page of it is had from the sponsor first, so a sponsor that is full refuses
    /// here, before any data is at risk. Returns 0 or -errno.
    /// </summary>
    public int Allocate(ulong address, ulong bytes)
    {
        int status = _family.Pool.EnsureSlots(_segmentPages.Values.Sum() + (long)(bytes >> PageSize.Shift));
        if (status != 0)
        {
            return status;
        }

        using var request = new PagerRequest(PagerRequestKind.Allocate)
        {
            Address = address,
            Pages = (long)(bytes >> PageSize.Shift),
        };
        _family.Thread.Execute(Core, request);
        if (request.Status == 0)
        {
            _segmentPages[address] = request.Pages;
        }

        return request.Status;
    }

    public int Free(ulong address)
    {
        int status = Execute(new PagerRequest(PagerRequestKind.Free) { Address = address });
        if (status == 0)
        {
            _ = _segmentPages.Remove(address);
        }

        _family.Pool.ReturnIdle(_segmentPages.Values.Sum());
        return status;
    }

    public int Resize(ulong address, ulong bytes)
    {
        long pages = (long)(bytes >> PageSize.Shift);
        if (!_segmentPages.TryGetValue(address, out long before) || pages == 0)
        {
            return -Errno.EINVAL;
        }

        int status = _family.Pool.EnsureSlots(_segmentPages.Values.Sum() + pages - before);
        if (status != 0)
        {
            return status;
        }

        status = Execute(new PagerRequest(PagerRequestKind.Resize) { Address = address, Pages = pages });
        if (status == 0)
        {
            _segmentPages[address] = pages;
        }

        _family.Pool.ReturnIdle(_segmentPages.Values.Sum());
        return status;
    }

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

    private void Start()
    {
        _family.Thread.Add(_member);
        _family.Start();
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
            _family.Thread.Remove(_member);
            if (_tables is not null)
            {
                // What it was written to is gone with the session; its children's slots stay.
                _family.Thread.RunOn(() => _family.Pool.WriteTo(null));
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
