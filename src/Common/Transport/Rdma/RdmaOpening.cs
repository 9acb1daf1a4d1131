using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Transport.Rdma;

/// <summary>
/// The opening of a data connection over RDMA, demander side: address, route, queue, HELLO, WELCOME. The only part that may throw and
/// wait. Disposing frees what was made; of an opening that succeeded <see cref="RdmaDataConnection"/> does it.
/// </summary>
internal sealed unsafe class RdmaOpening : IDisposable
{
    /// <summary>READs under way in one queue at a time: two windows of 128 pages are four of them, and demands come between.</summary>
    private const uint ReadsMax = 32;

    /// <summary>The connection manager's word for "nobody listens there".</summary>
    private const int NoListener = 8;

    private readonly IPEndPoint _sponsor;
    private readonly TimeSpan _timeout;
    private readonly long _started = Stopwatch.GetTimestamp();
    private nint _channel;
    private int _channelDescriptor = -1;
    private nint _id;
    private nint _domain;
    private RdmaQueue* _queue;

    public RdmaOpening(IPEndPoint sponsor, TimeSpan timeout) => (_sponsor, _timeout) = (sponsor, timeout);

    public nint Channel => _channel;

    public int ChannelDescriptor => _channelDescriptor;

    public nint Id => _id;

    public nint Domain => _domain;

    /// <summary>In memory of its own, because the library is given its address with each call.</summary>
    public RdmaQueue* Queue => _queue;

    public int RequestsMax { get; private set; }

    public uint RemoteDomain { get; private set; }

    public int PagesPerRequestMax { get; private set; }

    /// <summary>Throws <see cref="DataConnectionException"/>.</summary>
    public void Open(Guid demanderId, ReadOnlySpan<byte> token, int requestsMax)
    {
        if (RdmaHost.Missing() is { } missing)
        {
            throw Failed(DataConnectionFailure.Unreachable, missing);
        }

        OpenId();
        Resolve();
        RdmaDevice device;
        Check(RdmaLibrary.DeviceOf(_id, &device), "the device says nothing of itself");
        RequestsMax = (int)Math.Min((uint)requestsMax, Math.Min(device.RequestsMax, device.CompletionsMax));
        OpenQueue();
        SayHello(demanderId, token, Math.Clamp(Math.Min(device.ReadsToStart, device.ReadsInFlight), 1, ReadsMax));
        ReadWelcome();
    }

    /// <summary>Ends the queue, ahead of the memory that was registered for it: from then on the device touches none of that.</summary>
    public void CloseQueue()
    {
        if (_queue is not null && _queue->Pair != 0)
        {
            RdmaLibrary.CloseQueue(_id, _queue);
        }
    }

    public void Dispose()
    {
        // The id last: with the last one of a device that was removed, the library closes the device, and all that is left of it.
        CloseQueue();
        if (_domain != 0)
        {
            _ = RdmaLibrary.CloseDomain(_domain);
            _domain = 0;
        }

        if (_id != 0)
        {
            RdmaLibrary.CloseId(_id, null);
            _id = 0;
        }

        if (_channel != 0)
        {
            RdmaLibrary.CloseChannel(_channel);
            _channel = 0;
        }

        NativeMemory.Free(_queue);
        _queue = null;
    }

    private void OpenId()
    {
        _queue = (RdmaQueue*)NativeMemory.AllocZeroed((nuint)sizeof(RdmaQueue));
        fixed (nint* channel = &_channel, id = &_id)
        fixed (int* descriptor = &_channelDescriptor)
        {
            Check(RdmaLibrary.OpenChannel(channel, descriptor), "the connection manager is not there (kernel module rdma_ucm)");
            Check(RdmaLibrary.OpenId(_channel, id), "the connection manager gives no id");
        }
    }

    private void Resolve()
    {
        SocketAddress address = _sponsor.Serialize();
        fixed (byte* bytes = address.Buffer.Span)
        {
            Check(RdmaLibrary.ResolveAddress(_id, bytes, MillisecondsLeft()), "no RDMA device has a route there (`ip route get` names the interface, `rdma link` the devices)");
        }

        _ = Await(RdmaEventKind.AddressResolved, "no RDMA device has a route there (`ip route get` names the interface, `rdma link` the devices)");
        Check(RdmaLibrary.ResolveRoute(_id, MillisecondsLeft()), "no route over RDMA (a device does not reach loopback addresses)");
        _ = Await(RdmaEventKind.RouteResolved, "no route over RDMA");
    }

    private void OpenQueue()
    {
        var options = new RdmaQueueOptions { Requests = (uint)RequestsMax, Receives = 1 };
        fixed (nint* domain = &_domain)
        {
            Check(RdmaLibrary.OpenDomain(_id, domain), "the device gives no protection domain");
        }

        Check(RdmaLibrary.OpenQueue(_id, _domain, &options, _queue), $"the device gives no queue of {RequestsMax} requests");
    }

    private void SayHello(Guid demanderId, ReadOnlySpan<byte> token, uint reads)
    {
        RdmaHello hello = new() { Magic = Frames.OpenMagic, Version = Frames.Version, Kind = Frames.KindHello };
        demanderId.TryWriteBytes(new Span<byte>(hello.Id, Frames.IdBytes), bigEndian: true, out _);
        token.CopyTo(new Span<byte>(hello.Token, Frames.TokenBytes));
        Check(RdmaLibrary.Connect(_id, &hello, RdmaHello.Bytes, (byte)reads), "the connection request cannot be sent");
    }

    private void ReadWelcome()
    {
        RdmaEvent answer = Await(RdmaEventKind.Established, "the connection was not made");
        if (answer.PrivateBytes < RdmaWelcome.Bytes)
        {
            throw Failed(DataConnectionFailure.Protocol, "the answer is not a WELCOME; is this the data port of a sponsor?");
        }

        RdmaWelcome welcome = *(RdmaWelcome*)answer.PrivateData;
        if (welcome.Magic != Frames.OpenMagic || welcome.Kind != Frames.KindWelcome || welcome.Version != Frames.Version
            || welcome.PagesMax is 0 or > Frames.PagesPerRequestMax)
        {
            throw Failed(DataConnectionFailure.Protocol, "the answer is not a WELCOME of this version");
        }

        RemoteDomain = welcome.Domain;
        PagesPerRequestMax = (int)welcome.PagesMax;
    }

    private RdmaEvent Await(RdmaEventKind kind, string what)
    {
        RdmaEvent received;
        while (true)
        {
            int count = RdmaLibrary.NextEvent(_channel, &received);
            Check(count, "the connection manager failed");
            if (count > 0)
            {
                return received.Kind == kind ? received : throw Refused(&received, what);
            }

            PollDescriptor wait = new() { Descriptor = _channelDescriptor, Events = Libc.POLLIN };
            if (Libc.Poll(&wait, 1, MillisecondsLeft()) == 0)
            {
                throw Failed(DataConnectionFailure.Unreachable, $"{what}: no answer within {_timeout.TotalMilliseconds:0} ms");
            }
        }
    }

    private DataConnectionException Refused(RdmaEvent* received, string what)
    {
        if (received->Kind == RdmaEventKind.Rejected)
        {
            RdmaWelcome* welcome = (RdmaWelcome*)received->PrivateData;
            if (received->PrivateBytes >= RdmaWelcome.Bytes && welcome->Magic == Frames.OpenMagic && welcome->Kind == Frames.KindWelcome)
            {
                (DataConnectionFailure failure, string why) = WireStatuses.Explain(welcome->Status);
                return Failed(failure, why);
            }

            return Failed(DataConnectionFailure.Unreachable, received->Status == NoListener
                ? "nobody listens there over RDMA"
                : $"the connection was rejected (reason {received->Status} of the connection manager)");
        }

        return Failed(DataConnectionFailure.Unreachable,
            received->Status < 0 ? $"{what}: {Errno.Describe(-received->Status)}" : $"{what} ({received->Kind})");
    }

    private void Check(int result, string what)
    {
        if (result < 0)
        {
            throw Failed(DataConnectionFailure.Unreachable, $"{what}: {Errno.Describe(-result)}");
        }
    }

    private int MillisecondsLeft() =>
        (int)Math.Clamp((_timeout - Stopwatch.GetElapsedTime(_started)).TotalMilliseconds, 1, int.MaxValue);

    private DataConnectionException Failed(DataConnectionFailure failure, string why) =>
        new(failure, $"no RDMA connection to sponsor {_sponsor}: {why}");
}
