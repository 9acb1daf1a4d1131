using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Lending;
using Hecatonchire.Pages;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.WriteBack;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>
/// What a program and the children that it has forked have in common: the connections, the stripes, and the thread that serves them. It lasts as long as
/// one of them.
/// </summary>
internal sealed partial class PagerFamily : IDisposable
{
    /// <summary>4 MiB: of a child less is on its way out at once, and its fork waits while this is made.</summary>
    private const int ChildStagingPages = 1024;

    /// <summary>A child faults, and so makes itself known, before it says HELLO.</summary>
    private static readonly TimeSpan ClaimTime = TimeSpan.FromSeconds(5);

    private readonly PagerOptions _options;
    private readonly ILogger _logger;
    private readonly StripePool _pool;
    private readonly ConnectionShare _reader;
    private readonly ConnectionShare _writer;
    private readonly List<PagerMember> _unclaimed = [];
    private readonly List<int> _opening = [];

    private int _sessions;
    private readonly Lock _disposal = new();
    private bool _isStopped;
    private bool _isDisposed;

    /// <param name="options">As the pager was started.</param>
    /// <param name="pool">What it borrows; this family's from now on.</param>
    /// <param name="hash">Of a program that another pager has had: what that one hashed with.</param>
    /// <param name="logger">The pager's.</param>
    public PagerFamily(PagerOptions options, StripePool pool, PageHash? hash, ILogger logger)
    {
        Hash = hash ?? new PageHash();
        (_options, _pool, _logger) = (options, pool, logger);
        (_reader, _writer) = (new ConnectionShare(pool.Set.Reader), new ConnectionShare(pool.Set.Writer));
        Thread = new PagerThread(_reader, _writer, options.Spin && Environment.ProcessorCount > 1);
    }

    public PagerThread Thread { get; }

    /// <summary>What the evictors of all its programs hash with: hashes are inherited.</summary>
    public PageHash Hash { get; }

    /// <summary>What it borrows.</summary>
    public StripePool Pool => _pool;

    /// <summary>Its claim on what it borrows, where that is written down anywhere but at the sponsors.</summary>
    public IDemanderLease? Lease { get; init; }

    /// <summary>Called on the pager thread when a core finds its sponsor lost.</summary>
    public Action<PagerCore>? OnSponsorLost { get; init; }

    /// <summary>As <see cref="PagerCore.OnPageLost"/>.</summary>
    public Action<int, ulong, long, ulong>? OnPageLost { get; init; }

    /// <summary>Called when the last session has left.</summary>
    public Action? OnEnded { get; init; }

    /// <summary>
    /// Serves nobody any more, and has no connections: nothing uses the buffers of a member that was not drained. Waits for no sponsor. The rest is
    /// <see cref="Leave"/>'s.
    /// </summary>
    public void Stop()
    {
        lock (_disposal)
        {
            if (!_isStopped)
            {
                _isStopped = true;
                Thread.Dispose();
                _pool.Stop();
            }
        }
    }

    public void Join() => Interlocked.Increment(ref _sessions);

    /// <summary>A session has ended; with the last one everything goes. Its program is not served any more.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _sessions) == 0)
        {
            Dispose();
            OnEnded?.Invoke();
        }
    }

    /// <summary>A child that was claimed has a session now, or will have none.</summary>
    public void NoteOpened(int process)
    {
        lock (_unclaimed)
        {
            _ = _opening.Remove(process);
        }
    }

    /// <summary>Children that have no session yet, by their process; 0 where it is not known.</summary>
    public int[] Unclaimed
    {
        get
        {
            lock (_unclaimed)
            {
                return [.. _unclaimed.Select(child => child.IsProcessKnown ? child.Core.FirstFaultThread : 0), .. _opening];
            }
        }
    }

    /// <summary>The core of a program, not served yet. Throws <see cref="DataConnectionException"/>, <see cref="InsufficientMemoryException"/>.</summary>
    public PagerMember MakeMember(KernelProgramMemory memory, bool captures, IReadOnlyList<AddressRange> keptOut, ulong touchAddress, bool isChild = false,
        PageTableFile? tables = null)
    {
        IDataConnection? reader = _reader.Add(), writer = _writer.Add();
        if (reader is null || writer is null)
        {
            reader?.Dispose();
            throw new InsufficientMemoryException($"more than {ConnectionShare.MembersMax} forked children");
        }

        PagerCore? core = null;
        try
        {
            core = new PagerCore(
                memory, reader, writer, CreatePolicy(_options.Prefetch), _options.Local, isChild ? ChildStagingPages : HandoverAbi.StagingPages, _options.Eviction, _pool.Slots, tables)
            {
                DirtyTracking = _options.DirtyTracking,
                Captures = captures,
                KeptOut = keptOut,
                TouchAddress = touchAddress,
                IsHeir = !isChild,
                OnSponsorLost = () => OnSponsorLost?.Invoke(core!),
                OnPageLost = OnPageLost,
                OnFork = descriptor => MakeChild(memory, core!, descriptor),
            };
            return new PagerMember(core, memory) { Tables = isChild ? tables : null };
        }
        catch
        {
            reader.Dispose();
            writer.Dispose();
            throw;
        }
    }

    /// <summary>The child that faulted as <paramref name="thread"/>; null when there is none. It is the caller's from now on, known as <paramref name="process"/>.</summary>
    public PagerMember? Claim(int thread, int process, TimeSpan? patience = null)
    {
        long end = Environment.TickCount64 + (long)(patience ?? ClaimTime).TotalMilliseconds;
        do
        {
            if (TryClaim(thread, process) is { } found)
            {
                return found;
            }

            System.Threading.Thread.Sleep(1);
        }
        while (Environment.TickCount64 < end);

        return null;
    }

    private PagerMember? TryClaim(int thread, int process)
    {
        PagerMember? found;
        lock (_unclaimed)
        {
            found = _unclaimed.Find(member => member.Core.FirstFaultThread == thread);
        }

        if (found is null)
        {
            return null;
        }

        // The thread that serves it may find it gone, and end it, at any moment.
        bool isClaimed = false;
        Thread.RunOn(() =>
        {
            lock (_unclaimed)
            {
                isClaimed = _unclaimed.Remove(found);
                if (isClaimed)
                {
                    _opening.Add(process);
                    found.OnRemoved = null;
                }
            }
        });
        return isClaimed ? found : null;
    }

    /// <summary>Ends all; of a family that no session has joined, its maker's to call.</summary>
    public void Dispose()
    {
        lock (_disposal)
        {
            // Who comes second goes on when all has ended.
            if (!_isDisposed)
            {
                _isDisposed = true;
                DisposeAll();
            }
        }
    }

    private void DisposeAll()
    {
        Stop();
        lock (_unclaimed)
        {
            _unclaimed.ForEach(End);
            _unclaimed.Clear();
        }

        _pool.Dispose(freesStripes: !IsOnTrial);
        Lease?.End(releases: !IsOnTrial);
    }

    /// <summary>On the pager thread, while the program is in fork.</summary>
    private PagerCore? MakeChild(KernelProgramMemory parent, PagerCore parentCore, int descriptor)
    {
        PageTableFile? tables = null;
        try
        {
            tables = TryMakeTables();
            KernelProgramMemory memory = parent.OfChild(descriptor, tables);
            PagerMember child = MakeMember(memory, captures: true, parentCore.KeptOut, parentCore.TouchAddress, isChild: true, tables);
            child.IsProcessKnown = parent.ForksInOwnNamespace;
            child.OnMustStop = () => child.IsProcessKnown && Libc.Kill(child.Core.FirstFaultThread, Libc.SIGKILL) == 0;
            child.OnRemoved = () =>
            {
                // It has ended without a HELLO.
                lock (_unclaimed)
                {
                    _ = _unclaimed.Remove(child);
                }

                End(child);
                _ = ThreadPool.QueueUserWorkItem(_ => Leave());
            };
            lock (_unclaimed)
            {
                _unclaimed.Add(child);
            }

            Join();

            Thread.Add(child);
            return child.Core;
        }
        catch (Exception e) when (e is InsufficientMemoryException or DataConnectionException or OutOfMemoryException)
        {
            // The descriptor stays open: without it the child would read zeros. So it stops at the first page that is not here.
            tables?.Dispose();
            PagerLog.ChildNotServed(_logger, e.Message);
            return null;
        }
    }

    private static void End(PagerMember member)
    {
        member.Core.Dispose();
        member.Memory.Dispose();
        member.Tables?.Dispose();
    }

    /// <summary>Where a child's page tables outlive this pager; null where nobody would come after it, or there can be none: then it ends with it.</summary>
    private PageTableFile? TryMakeTables()
    {
        try
        {
            return _options.StateFolder is null ? null : PageTableFile.Create();
        }
        catch (Exception e) when (e is InsufficientMemoryException or InvalidOperationException)
        {
            return null;
        }
    }

    private static IPrefetchPolicy CreatePolicy(PrefetchKind kind) => kind switch
    {
        PrefetchKind.None => new NoPrefetch(),
        PrefetchKind.Window => new WindowPrefetch(),
        _ => new TrendPrefetch(),
    };
}
