namespace Hecatonchire.Membership;

/// <summary>What becomes of keys that are watched. Called by one task, one after the other.</summary>
internal interface IPrefixSink
{
    /// <summary>These are all that there are now: at the start, and after each time that etcd could not be seen.</summary>
    void Reset(IReadOnlyList<EtcdEntry> entries);

    void Put(EtcdEntry entry);

    /// <summary>etcd has removed it, or somebody has.</summary>
    void Delete(string key);

    /// <summary>What was told stays as it was: etcd cannot be seen any more.</summary>
    void Lose();
}

/// <summary>Keeps a sink up to date with the keys of a prefix, as long as etcd is there, and again when it is there again.</summary>
internal sealed class PrefixWatch : IDisposable
{
    private static readonly TimeSpan RetryTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LookTime = TimeSpan.FromMilliseconds(20);

    private readonly EtcdStore _store;
    private readonly string _prefix;
    private readonly IPrefixSink _sink;
    private readonly Func<CancellationToken, Task>? _onConnected;
    private readonly Action<string> _warn;
    private readonly CancellationTokenSource _stop = new();
    private readonly ManualResetEventSlim _seen = new();
    private readonly Task _task;
    private volatile string? _problem;

    /// <param name="store">Lives longer.</param>
    /// <param name="prefix">Ends with a slash.</param>
    /// <param name="sink">Is told.</param>
    /// <param name="warn">Told in one line when etcd is not to be seen, and when it is again.</param>
    /// <param name="onConnected">Called first each time; what it throws is as if etcd had not answered.</param>
    public PrefixWatch(EtcdStore store, string prefix, IPrefixSink sink, Action<string> warn, Func<CancellationToken, Task>? onConnected = null)
    {
        (_store, _prefix, _sink, _warn, _onConnected) = (store, prefix, sink, warn, onConnected);
        _task = Task.Run(RunAsync);
    }

    /// <summary>Why etcd cannot be seen now; null while it can, or before that is known.</summary>
    public string? Problem => _problem;

    /// <summary>Waits until the sink knows all there is. False when that takes longer, or, where no more patience is wanted than that, etcd could not be seen once.</summary>
    public bool WaitForFirst(TimeSpan time, bool isPatient)
    {
        for (long end = Environment.TickCount64 + (long)time.TotalMilliseconds; !_seen.Wait(LookTime);)
        {
            if (Environment.TickCount64 >= end || (!isPatient && _problem is not null))
            {
                return _seen.IsSet;
            }
        }

        return true;
    }

    public void Dispose()
    {
        _stop.Cancel();
        _task.Wait();
        _stop.Dispose();
        _seen.Dispose();
    }

    private async Task RunAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await (_onConnected?.Invoke(_stop.Token) ?? Task.CompletedTask).ConfigureAwait(false);
                (IReadOnlyList<EtcdEntry> entries, long revision) = await _store.ListAsync(_prefix, _stop.Token).ConfigureAwait(false);
                _sink.Reset(entries);
                NoteSeen();
                await _store.WatchAsync(_prefix, revision, Tell, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (EtcdException e)
            {
                if (Interlocked.Exchange(ref _problem, e.Message) is null)
                {
                    _sink.Lose();
                    _warn($"{e.Message}; it is tried again, and what is running goes on");
                }
            }

            await Task.Delay(RetryTime, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void NoteSeen()
    {
        _seen.Set();
        if (Interlocked.Exchange(ref _problem, null) is not null)
        {
            _warn($"etcd {_store.Names} answers again");
        }
    }

    private void Tell(EtcdEntry change)
    {
        if (change.Revision == 0)
        {
            _sink.Delete(change.Key);
        }
        else
        {
            _sink.Put(change);
        }
    }
}
