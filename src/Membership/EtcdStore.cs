using Etcdserverpb;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Mvccpb;

namespace Hecatonchire.Membership;

/// <summary>A key below our prefix, without it, with its value, its lease and the revision that wrote it.</summary>
internal readonly record struct EtcdEntry(string Key, ReadOnlyMemory<byte> Value, long Lease, long Revision);

/// <summary>
/// The few calls of etcd that membership takes, over the client stubs of dotnet-etcd. Keys are named without the prefix. Each call asks one member, and the next one where that
/// does not answer; it throws <see cref="EtcdException"/> when none has, or <see cref="OperationCanceledException"/>. The channels rebuild themselves.
/// </summary>
internal sealed class EtcdStore : IDisposable
{
    /// <summary>A call to a member that lives takes milliseconds; an election takes a second.</summary>
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(5);

    /// <summary>etcd drops a watch of a member that has lost its leader, where it is asked to: else it would go on, and tell nothing.</summary>
    private static readonly Metadata NeedsLeader = new() { { "hasleader", "true" } };

    private readonly EtcdAddress _address;
    private readonly GrpcChannel[] _channels;
    private int _member;

    public EtcdStore(EtcdAddress address)
    {
        _address = address;
        _channels = [.. address.Members.Select(Open)];
    }

    public string Prefix => _address.Prefix;

    public string Names => _address.Names;

    /// <summary>All keys that begin so, and the revision at which that was so.</summary>
    public async Task<(IReadOnlyList<EtcdEntry> Entries, long Revision)> ListAsync(string prefix, CancellationToken stop)
    {
        ByteString start = FullKey(prefix);
        RangeResponse answer = await CallAsync(
            (channel, options) => new KV.KVClient(channel).RangeAsync(new RangeRequest { Key = start, RangeEnd = EndOf(start) }, options), stop).ConfigureAwait(false);
        return ([.. answer.Kvs.Select(EntryOf)], answer.Header.Revision);
    }

    public async Task<EtcdEntry?> GetAsync(string key, CancellationToken stop)
    {
        RangeResponse answer = await CallAsync(
            (channel, options) => new KV.KVClient(channel).RangeAsync(new RangeRequest { Key = FullKey(key) }, options), stop).ConfigureAwait(false);
        return answer.Kvs.Count == 0 ? null : EntryOf(answer.Kvs[0]);
    }

    public Task PutAsync(string key, byte[] value, long lease, CancellationToken stop) => CallAsync(
        (channel, options) => new KV.KVClient(channel).PutAsync(new PutRequest { Key = FullKey(key), Value = ByteString.CopyFrom(value), Lease = lease }, options), stop);

    /// <summary>Writes a key unless it is there; returns what it is in the end.</summary>
    public async Task<byte[]> CreateAsync(string key, byte[] value, CancellationToken stop)
    {
        ByteString full = FullKey(key);
        var create = new TxnRequest();
        create.Compare.Add(new Compare { Key = full, Target = Compare.Types.CompareTarget.Create, Result = Compare.Types.CompareResult.Equal, CreateRevision = 0 });
        create.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = full, Value = ByteString.CopyFrom(value) } });
        create.Failure.Add(new RequestOp { RequestRange = new RangeRequest { Key = full } });
        TxnResponse answer = await CallAsync((channel, options) => new KV.KVClient(channel).TxnAsync(create, options), stop).ConfigureAwait(false);
        return answer.Succeeded ? value : answer.Responses[0].ResponseRange.Kvs[0].Value.ToByteArray();
    }

    public async Task<long> GrantAsync(TimeSpan time, CancellationToken stop)
    {
        var grant = new LeaseGrantRequest { TTL = (long)Math.Ceiling(time.TotalSeconds) };
        return (await CallAsync((channel, options) => new Lease.LeaseClient(channel).LeaseGrantAsync(grant, options), stop).ConfigureAwait(false)).ID;
    }

    /// <summary>False when the lease is over.</summary>
    public async Task<bool> KeepAliveAsync(long lease, CancellationToken stop)
    {
        LeaseKeepAliveResponse answer = await CallAsync((channel, options) => KeepAliveAsync(channel, lease, options), stop).ConfigureAwait(false);
        return answer.TTL > 0;
    }

    /// <summary>Ends a lease, and the keys under it with it.</summary>
    public Task RevokeAsync(long lease, CancellationToken stop) => CallAsync(
        (channel, options) => new Lease.LeaseClient(channel).LeaseRevokeAsync(new LeaseRevokeRequest { ID = lease }, options), stop);

    /// <summary>
    /// Tells each change of keys that begin so, after a revision, in their order; a key that was deleted has revision 0. Returns never: throws when the watch ends.
    /// </summary>
    public async Task WatchAsync(string prefix, long revision, Action<EtcdEntry> changed, CancellationToken stop)
    {
        ByteString start = FullKey(prefix);
        try
        {
            using AsyncDuplexStreamingCall<WatchRequest, WatchResponse> call = new Watch.WatchClient(_channels[_member]).Watch(NeedsLeader, cancellationToken: stop);
            await call.RequestStream.WriteAsync(
                new WatchRequest { CreateRequest = new WatchCreateRequest { Key = start, RangeEnd = EndOf(start), StartRevision = revision + 1 } }, stop).ConfigureAwait(false);
            while (await call.ResponseStream.MoveNext(stop).ConfigureAwait(false))
            {
                WatchResponse answer = call.ResponseStream.Current;
                if (answer.Canceled || answer.CompactRevision > 0)
                {
                    throw new EtcdException($"etcd {Names} ended the watch: {(answer.CancelReason.Length > 0 ? answer.CancelReason : "its revision is compacted")}");
                }

                foreach (Event change in answer.Events)
                {
                    changed(change.Type == Event.Types.EventType.Delete ? EntryOf(change.Kv) with { Revision = 0 } : EntryOf(change.Kv));
                }
            }
        }
        catch (Exception e) when (IsFailure(e))
        {
            stop.ThrowIfCancellationRequested();
            _member = (_member + 1) % _channels.Length;
            throw Translate(e);
        }

        throw new EtcdException($"etcd {Names} ended the watch");
    }

    public void Dispose() => Array.ForEach(_channels, channel => channel.Dispose());

    /// <summary>Connections of etcd are noticed to be dead, and rebuilt, within seconds: a host that has gone tells nobody.</summary>
    private static GrpcChannel Open(Uri member) => GrpcChannel.ForAddress(member, new GrpcChannelOptions
    {
        HttpHandler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(2),
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            UseProxy = false,
        },
        DisposeHttpClient = true,
        InitialReconnectBackoff = TimeSpan.FromMilliseconds(200),
        MaxReconnectBackoff = TimeSpan.FromSeconds(2),
    });

    private static async Task<LeaseKeepAliveResponse> KeepAliveAsync(GrpcChannel channel, long lease, CallOptions options)
    {
        using AsyncDuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> call = new Lease.LeaseClient(channel).LeaseKeepAlive(options);
        await call.RequestStream.WriteAsync(new LeaseKeepAliveRequest { ID = lease }, options.CancellationToken).ConfigureAwait(false);
        bool isAnswered = await call.ResponseStream.MoveNext(options.CancellationToken).ConfigureAwait(false);
        await call.RequestStream.CompleteAsync().ConfigureAwait(false);
        return isAnswered ? call.ResponseStream.Current : throw new RpcException(new Grpc.Core.Status(StatusCode.Unavailable, "it ended the call"));
    }

    private Task<T> CallAsync<T>(Func<GrpcChannel, CallOptions, AsyncUnaryCall<T>> call, CancellationToken stop) => CallAsync(
        async (channel, options) =>
        {
            using AsyncUnaryCall<T> called = call(channel, options);
            return await called.ResponseAsync.ConfigureAwait(false);
        },
        stop);

    private async Task<T> CallAsync<T>(Func<GrpcChannel, CallOptions, Task<T>> call, CancellationToken stop)
    {
        for (int tried = 1; ; tried++)
        {
            int member = _member;
            try
            {
                return await call(_channels[member], new CallOptions(deadline: DateTime.UtcNow + CallTime, cancellationToken: stop)).ConfigureAwait(false);
            }
            catch (Exception e) when (IsFailure(e))
            {
                stop.ThrowIfCancellationRequested();
                if (tried == _channels.Length || CodeOf(e) is not (StatusCode.Unavailable or StatusCode.DeadlineExceeded or StatusCode.Internal or StatusCode.Unknown))
                {
                    throw Translate(e);
                }

                _member = (member + 1) % _channels.Length;
            }
        }
    }

    /// <summary>A stream that has ended under a write says so in ways of its own.</summary>
    private static bool IsFailure(Exception e) => e is RpcException or InvalidOperationException or IOException or HttpRequestException;

    private static StatusCode CodeOf(Exception failure) => (failure as RpcException)?.StatusCode ?? StatusCode.Unavailable;

    private EtcdException Translate(Exception failure)
    {
        StatusCode code = CodeOf(failure);
        string why = code == StatusCode.DeadlineExceeded ? $"no answer within {CallTime.TotalSeconds} s"
            : failure is RpcException { Status: var status } ? status.DebugException?.GetBaseException().Message ?? status.Detail : failure.Message;
        return new EtcdException($"etcd {Names}: {why.ReplaceLineEndings(" ").TrimEnd('.')}")
        {
            IsLeaseGone = code == StatusCode.NotFound,
            IsUnreachable = code is StatusCode.Unavailable or StatusCode.DeadlineExceeded,
        };
    }

    private ByteString FullKey(string key) => ByteString.CopyFromUtf8($"{Prefix}/{key}");

    /// <summary>The first key that does not begin so: with the last byte one higher. Prefixes end with a slash.</summary>
    private static ByteString EndOf(ByteString prefix)
    {
        byte[] end = prefix.ToByteArray();
        end[^1]++;
        return ByteString.CopyFrom(end);
    }

    private EtcdEntry EntryOf(KeyValue pair) => new(pair.Key.ToStringUtf8()[(Prefix.Length + 1)..], pair.Value.Memory, pair.Lease, pair.ModRevision);
}
