namespace Hecatonchire.Membership;

/// <summary>
/// A key that is in etcd as long as this object lives, and for its lease's time after the process has died: put there again whenever it is not, whatever has become of etcd
/// meanwhile. What is there is read before it is written: each write is a revision that etcd keeps.
/// </summary>
internal sealed class Registration : IDisposable
{
    private static readonly TimeSpan RetryTime = TimeSpan.FromSeconds(1);

    /// <summary>A long lease is no reason to be missing for long.</summary>
    private static readonly TimeSpan LookTimeMax = TimeSpan.FromSeconds(3);

    /// <summary>How long the end may wait for etcd: without it the key goes with its lease.</summary>
    private static readonly TimeSpan RevokeTime = TimeSpan.FromMilliseconds(800);

    private readonly EtcdStore _store;
    private readonly string _key;
    private readonly Func<byte[]> _value;
    private readonly TimeSpan _lease;
    private readonly Action<string> _warn;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _task;
    private long _leaseId;
    private bool _isFailing;
    private bool _hasEnded;

    /// <param name="store">Lives longer.</param>
    /// <param name="key">Nobody else's.</param>
    /// <param name="value">As it is now; asked a few times in a lease's time, by any thread.</param>
    /// <param name="lease">How long the key outlives this process.</param>
    /// <param name="warn">Told in one line when etcd answers and does not take it, and when it does again.</param>
    public Registration(EtcdStore store, string key, Func<byte[]> value, TimeSpan lease, Action<string> warn)
    {
        (_store, _key, _value, _lease, _warn) = (store, key, value, lease, warn);
        _task = Task.Run(RunAsync);
    }

    public bool HasEnded => Volatile.Read(ref _hasEnded);

    /// <summary>It is gone from etcd, where that answers.</summary>
    public void Dispose() => End(releases: true);

    /// <summary>Not kept any more: gone from etcd at once, or with its lease, as if this process had died.</summary>
    public void End(bool releases)
    {
        if (Interlocked.Exchange(ref _hasEnded, true))
        {
            return;
        }

        _stop.Cancel();
        _task.Wait();
        if (releases && _leaseId != 0)
        {
            using var late = new CancellationTokenSource(RevokeTime);
            try
            {
                _store.RevokeAsync(_leaseId, late.Token).GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is EtcdException or OperationCanceledException)
            {
                // It goes with the lease.
            }
        }

        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            TimeSpan pause = RetryTime;
            try
            {
                await KeepAsync().ConfigureAwait(false);
                pause = _lease / 4 > LookTimeMax ? LookTimeMax : _lease / 4;
                if (_isFailing)
                {
                    _isFailing = false;
                    _warn($"registered in etcd {_store.Names} again");
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (EtcdException e)
            {
                // That etcd does not answer is told by who watches it.
                if (!_isFailing && !e.IsLeaseGone && !e.IsUnreachable)
                {
                    _isFailing = true;
                    _warn($"not registered in {e.Message}; it is tried again");
                }
            }

            await Task.Delay(pause, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task KeepAsync()
    {
        if (_leaseId == 0 || !await _store.KeepAliveAsync(_leaseId, _stop.Token).ConfigureAwait(false))
        {
            _leaseId = 0;
            _leaseId = await _store.GrantAsync(_lease, _stop.Token).ConfigureAwait(false);
        }

        byte[] value = _value();
        EtcdEntry? found = await _store.GetAsync(_key, _stop.Token).ConfigureAwait(false);
        if (found is not { } entry || entry.Lease != _leaseId || !entry.Value.Span.SequenceEqual(value))
        {
            try
            {
                await _store.PutAsync(_key, value, _leaseId, _stop.Token).ConfigureAwait(false);
            }
            catch (EtcdException e) when (e.IsLeaseGone)
            {
                // It ended in this moment; the next round has another.
                _leaseId = 0;
                throw;
            }
        }
    }
}
