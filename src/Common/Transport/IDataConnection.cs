namespace Hecatonchire.Transport;

/// <summary>How a posted request ended.</summary>
internal enum DataStatus : byte
{
    /// <summary>The data is in the buffer (READ) or on the sponsor (WRITE).</summary>
    Done = 0,

    /// <summary>The connection ended before an answer came; whether a WRITE took effect is unknown.</summary>
    Disconnected = 1,

    /// <summary>The sponsor refused the request (slab unknown, slots out of range).</summary>
    Refused = 2,

    /// <summary>What was written cannot be read any more, or what came for it at every attempt is something else. Nothing in the buffer means anything.</summary>
    Lost = 3,
}

/// <summary>The end of one request, in any order with respect to others.</summary>
internal readonly unsafe struct DataCompletion(ulong cookie, DataStatus status, byte* buffer = null)
{
    /// <summary>What the caller gave when it posted the request.</summary>
    public readonly ulong Cookie = cookie;

    public readonly DataStatus Status = status;

    /// <summary>
    /// Where the data of a READ that is Done are, when they are not in the buffer that was given with it: in one of the connection's, until <see cref="IDataConnection.Release"/>.
    /// </summary>
    public readonly byte* Buffer = buffer;
}

/// <summary>
/// One connection to one sponsor's slabs: one-sided READ and WRITE of runs of slots, many in flight, completions in
/// any order. Used by one thread only. Nothing here allocates, blocks or throws after the connection is made.
/// Order: a READ that is posted after a WRITE of the same slot and before its completion may see either version; the
/// caller does not do that.
/// </summary>
internal unsafe interface IDataConnection : IDisposable
{
    /// <summary>The transport's name as the user knows it: tcp, rdma, memory.</summary>
    string Transport { get; }

    /// <summary>The longest run one request may name, in pages.</summary>
    int PagesPerRequestMax { get; }

    /// <summary>How many more requests can be posted now.</summary>
    int FreeRequests { get; }

    /// <summary>True once the connection has ended; everything in flight completes as Disconnected.</summary>
    bool IsBroken { get; }

    /// <summary>Once it has ended: why, in a few words for a message to people; null where there is no more to say.</summary>
    string? BreakReason => null;

    /// <summary>True where a device uses the buffers of what is in flight until the connection has told its end or is disposed; false where only calls do.</summary>
    bool IsOneSided => false;

    /// <summary>The longest wait for <see cref="WaitDescriptor"/>, in milliseconds, after which there may be something to <see cref="Poll"/> all the same.</summary>
    int WaitMsMax => int.MaxValue;

    /// <summary>
    /// Makes memory known to the device: every buffer of a request lies in memory that was. 0, or the errno that keeps the device
    /// from using it. May take as long as the kernel does.
    /// </summary>
    int Register(byte* memory, nuint bytes) => 0;

    /// <summary>Takes that back; no request is in flight with a buffer there.</summary>
    void Unregister(byte* memory)
    {
    }

    /// <summary>
    /// Queues a READ of <paramref name="pages"/> slots from <paramref name="slot"/> on into <paramref name="buffer"/>
    /// (pages * 4096 bytes, contiguous, not moved until the completion). False when no request is free or the
    /// connection is broken. Goes out at the next <see cref="Submit"/>.
    /// </summary>
    bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer);

    /// <summary>Gives back the buffer that a completion has named; once for each.</summary>
    void Release(byte* buffer)
    {
    }

    /// <summary>Queues a WRITE; as <see cref="TryPostRead"/> with the data going the other way.</summary>
    bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer);

    /// <summary>Sends what is queued, in as few system calls as possible. What the socket does not take now is kept.</summary>
    void Submit();

    /// <summary>Takes completions without blocking. Returns how many; 0 when there is nothing yet.</summary>
    int Poll(Span<DataCompletion> completions);

    /// <summary>
    /// Where a look for completions is much cheaper than the caller's other work in a round: looks a few times, until there
    /// is one to <see cref="Poll"/>. Elsewhere nothing.
    /// </summary>
    void Spin()
    {
    }

    /// <summary>
    /// To be called right before waiting for <see cref="WaitDescriptor"/>. False when there is something to <see cref="Poll"/> already.
    /// </summary>
    bool PrepareToWait() => true;

    /// <summary>
    /// A descriptor to wait on (epoll, level-triggered) until <see cref="Poll"/> or <see cref="Submit"/> can make
    /// progress; -1 when there is none (in-memory). <see cref="WaitEvents"/> says for which events. Both may change with any call.
    /// </summary>
    int WaitDescriptor { get; }

    /// <summary>EPOLLIN, or EPOLLIN | EPOLLOUT while output is held back by the socket.</summary>
    uint WaitEvents { get; }
}
