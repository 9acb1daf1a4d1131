using System.Net.Sockets;
using System.Runtime.InteropServices;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Handover;

/// <summary>
/// Opens the pager's side of a session for a program's HELLO; the descriptors are its own from then on. Throws when it cannot, with a message for the
/// user, <see cref="PagerBusyException"/> where another program is served.
/// </summary>
internal delegate PagerSession SessionFactory(Socket program, int process, in HandoverMessage hello, ReadOnlySpan<int> descriptors);

/// <summary>
/// The socket programs arrive on.
/// A program's requests are answered on a thread of its own, which has the pager thread carry them out.
/// </summary>
internal sealed partial class HandoverServer : IDisposable
{
    private const int RefusedMax = 256;

    private readonly Socket _listener;
    private readonly string _path;
    private readonly uint? _owner;
    private readonly int? _starter;
    private readonly SessionFactory _open;
    private readonly Action<PagerSession> _close;
    private readonly TimeSpan _stopProgramAfter;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private readonly List<(Thread Thread, Socket Program)> _serving = [];

    /// <summary>Who was refused, and why: one that has lost its pager asks twenty times a second.</summary>
    private readonly HashSet<(int Process, string Reason)> _refused = [];
    private volatile bool _stop;

    /// <param name="path">Where programs find it.</param>
    /// <param name="owner">Whose programs are served, beside root's; null: whoever reaches the socket.</param>
    /// <param name="starter">The process that starts the programs: what descends from it is served whatever its user is; null: nothing is known of it.</param>
    public HandoverServer(string path, uint? owner, int? starter, TimeSpan stopProgramAfter, SessionFactory open, Action<PagerSession> close, ILogger log)
    {
        (_path, _owner, _starter, _stopProgramAfter, _open, _close, _log) = (path, owner, starter, stopProgramAfter, open, close, log);
        _listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            GiveToOwner();
        }
        catch
        {
            _listener.Dispose();
            File.Delete(path);
            throw;
        }

        _listener.Listen(8);
        _thread = new Thread(Run) { Name = "heca-handover", IsBackground = true };
        _thread.Start();
    }

    public void Dispose()
    {
        _stop = true;
        // Closing the descriptors does not wake a thread that is in accept or recvmsg; ending the connections does.
        HandoverSocket.Shutdown(_listener);
        _thread.Join();
        (Thread Thread, Socket Program)[] serving;
        lock (_serving)
        {
            serving = [.. _serving];
        }

        Array.ForEach(serving, one => HandoverSocket.Shutdown(one.Program));
        Array.ForEach(serving, one => one.Thread.Join());
        _listener.Dispose();
        File.Delete(_path);
    }

    /// <summary>
    /// The socket is the owner's, and nobody else's. A program of root's may go on as another user, and is to reach it then: who has connected decides. It is in
    /// a folder where only this process's user writes, so it is the one that was made.
    /// </summary>
    private void GiveToOwner()
    {
        if (_owner is not { } owner)
        {
            return;
        }

        const UnixFileMode own = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        const UnixFileMode anybodys = own | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        File.SetUnixFileMode(_path, owner == 0 ? anybodys : own);
        if (owner != Libc.EffectiveUser() && Libc.ChangeOwner(_path, owner, uint.MaxValue) != 0)
        {
            throw new IOException($"{_path} cannot be given to {Accounts.NameOf(owner)}: {Errno.Describe(Libc.Errno)}");
        }
    }

    private void Run()
    {
        while (!_stop)
        {
            try
            {
                Socket program = _listener.Accept();
                var thread = new Thread(() => ServeAndClose(program)) { Name = "heca-program", IsBackground = true };
                lock (_serving)
                {
                    _serving.Add((thread, program));
                }

                thread.Start();
            }
            catch (SocketException)
            {
                // The listener was shut down, or a program left between connect and accept.
            }
        }
    }

    private void ServeAndClose(Socket program)
    {
        using (program)
        {
            if (!_stop)
            {
                Serve(program);
            }

            lock (_serving)
            {
                _ = _serving.RemoveAll(one => one.Program == program);
            }
        }
    }

    private void Serve(Socket program)
    {
        Span<int> descriptors = stackalloc int[HandoverSocket.DescriptorsMax];
        bool isReceived = HandoverSocket.Receive(program, out HandoverMessage hello, descriptors, out int count);
        if (isReceived && IsEnable(in hello, count) && IsAllowed(program, in hello))
        {
            int errno = UserfaultfdOpening.Enable(descriptors[0], hello.Value0);
            CloseAll(descriptors[..count]);
            Answer(program, hello, -errno);
            isReceived = HandoverSocket.Receive(program, out hello, descriptors, out count);
        }

        if (!isReceived || hello.Magic != HandoverAbi.Magic || hello.Kind != HandoverAbi.Hello || hello.Version != HandoverAbi.Version
            || count != DescriptorsOf(in hello))
        {
            LogMalformedHello(hello.Version, hello.Kind, count);
            CloseAll(descriptors[..count]);
            Answer(program, hello, -Errno.EPROTO);
            return;
        }

        if (!IsAllowed(program, in hello))
        {
            CloseAll(descriptors[..count]);
            Answer(program, hello, -Errno.EPERM);
            return;
        }

        Serve(program, PeerCredentials.Of((int)program.Handle).Process, in hello, descriptors[..count]);
    }

    private static int DescriptorsOf(in HandoverMessage hello) => hello.IsResumed ? 5 : hello.IsForked ? 3 : 4;

    private static bool IsEnable(in HandoverMessage message, int descriptors) =>
        message is { Magic: HandoverAbi.Magic, Version: HandoverAbi.Version, Kind: HandoverAbi.Enable } && descriptors == 1;

    private bool IsAllowed(Socket program, in HandoverMessage message)
    {
        // Who was started as the owner may have another user by now: a forked child is known by a fault that the kernel told of, a program that has lost
        // its pager by the page tables that it was given, one that has called exec by its parents.
        var peer = PeerCredentials.Of((int)program.Handle);
        if (_owner is not { } owner || peer.User == owner || peer.User == 0
            || (message.Kind == HandoverAbi.Hello && (message.IsForked || message.IsResumed))
            || (_starter is { } starter && Processes.Descends(peer.Process, starter)))
        {
            return true;
        }

        LogNotAllowed(peer.Process, Accounts.NameOf(peer.User));
        return false;
    }

    private void Serve(Socket program, int process, in HandoverMessage hello, ReadOnlySpan<int> descriptors)
    {
        PagerSession session;
        try
        {
            session = _open(program, process, in hello, descriptors);
        }
        catch (PagerBusyException)
        {
            LogBusy(process);
            Answer(program, hello, -Errno.EBUSY);
            return;
        }
        catch (Exception e)
        {
            LogRefusedOnce(process, e.Message);
            Answer(program, hello, -Errno.EIO);
            return;
        }

        LogAttached(process);
        try
        {
            HandoverMessage answer = hello;
            answer.Status = 0;
            answer.Value0 = (ulong)_stopProgramAfter.TotalMilliseconds;
            if (HandoverSocket.Send(program, answer, session.DescriptorsForProgram) && (!hello.IsResumed || HasResumed(program, session)))
            {
                ServeRequests(program, session);
            }
        }
        finally
        {
            _close(session);
            session.Dispose();
            LogDetached(process);
        }
    }

    private void LogRefusedOnce(int process, string reason)
    {
        bool isNew;
        lock (_refused)
        {
            if (_refused.Count == RefusedMax)
            {
                _refused.Clear();
            }

            isNew = _refused.Add((process, reason));
        }

        if (isNew)
        {
            LogRefused(process, reason);
        }
    }

    /// <summary>The program holds what its next pager needs: now it goes on with this one.</summary>
    private bool HasResumed(Socket program, PagerSession session)
    {
        Span<int> unwanted = stackalloc int[HandoverSocket.DescriptorsMax];
        bool isReceived = HandoverSocket.Receive(program, out HandoverMessage message, unwanted, out int count);
        CloseAll(unwanted[..count]);
        if (!isReceived || message.Magic != HandoverAbi.Magic || message.Kind != HandoverAbi.Resumed)
        {
            return false;
        }

        if (!session.Begin())
        {
            return false;
        }

        LogResumed(session.Process);
        return true;
    }

    private void ServeRequests(Socket program, PagerSession session)
    {
        Span<int> unwanted = stackalloc int[HandoverSocket.DescriptorsMax];
        while (!_stop && HandoverSocket.Receive(program, out HandoverMessage request, unwanted, out int count))
        {
            CloseAll(unwanted[..count]);
            if (request.Magic != HandoverAbi.Magic || request.Version != HandoverAbi.Version)
            {
                LogMalformedRequest(session.Process, request.Kind);
                return;
            }

            HandoverMessage answer = request;
            bool isAligned = ((request.Address | request.Bytes) & (ulong)(PageSize.Bytes - 1)) == 0;
            answer.Status = !isAligned ? -Errno.EINVAL : request.Kind switch
            {
                HandoverAbi.Allocate => session.Allocate(request.Address, request.Bytes, request.Value0),
                HandoverAbi.Free => session.Free(request.Address),
                HandoverAbi.Resize => session.Resize(request.Address, request.Bytes),
                HandoverAbi.Advise => session.Advise(request.Address, request.Bytes, (int)request.Value0),
                HandoverAbi.Statistics => FillStatistics(session, ref answer),
                _ => -Errno.EPROTO,
            };
            if (answer.Status == -Errno.ENOSPC)
            {
                LogFull(session.Process, request.Bytes);
            }

            if (!HandoverSocket.Send(program, answer))
            {
                return;
            }
        }
    }

    private static int FillStatistics(PagerSession session, ref HandoverMessage answer)
    {
        PagerCounters counters = session.Core.Counters;
        Span<ulong> payload = answer.Payload;
        ReadOnlySpan<long> values =
        [
            counters.SegmentPages << PageSize.Shift, counters.InProgramPages << PageSize.Shift,
            counters.RemotePages << PageSize.Shift, counters.AllowancePages << PageSize.Shift,
            counters.ResidentPeakPages << PageSize.Shift, counters.Faults, counters.PagesIn, counters.PagesOut,
            counters.PagesDropped, counters.PagesPrefetched, counters.PrefetchUsed, counters.PrefetchWasted, counters.PagesLost,
        ];
        payload.Clear();
        MemoryMarshal.Cast<long, ulong>(values).CopyTo(payload);
        return 0;
    }

    private static void Answer(Socket program, in HandoverMessage request, int status)
    {
        HandoverMessage answer = request;
        (answer.Magic, answer.Version, answer.Status) = (HandoverAbi.Magic, HandoverAbi.Version, status);
        _ = HandoverSocket.Send(program, answer);
    }

    private static void CloseAll(ReadOnlySpan<int> descriptors)
    {
        foreach (int descriptor in descriptors)
        {
            _ = Libc.Close(descriptor);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A program's HELLO was refused: version {Version}, kind {Kind}, {Descriptors} descriptors")]
    private partial void LogMalformedHello(int version, int kind, int descriptors);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Program {Process} of {User} was refused: this pager serves another user")]
    private partial void LogNotAllowed(int process, string user);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Program {Process} sent a malformed request (kind {Kind}); its session ends")]
    private partial void LogMalformedRequest(int process, int kind);

    [LoggerMessage(Level = LogLevel.Error, Message = "Program {Process} could not be served: {Reason}")]
    private partial void LogRefused(int process, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Program {Process} was refused {Bytes} bytes: the sponsor cannot lend that much; raise its --memory")]
    private partial void LogFull(int process, ulong bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Program {Process} was refused: this pager serves another program; start it under a `heca run` of its own")]
    private partial void LogBusy(int process);

    [LoggerMessage(Level = LogLevel.Information, Message = "Program {Process} attached")]
    private partial void LogAttached(int process);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Program {Process} goes on where its last pager died; no page is lost")]
    private partial void LogResumed(int process);

    [LoggerMessage(Level = LogLevel.Information, Message = "Program {Process} has gone")]
    private partial void LogDetached(int process);
}
