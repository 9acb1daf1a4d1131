using System.Numerics;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Interop;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Units;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>Why a request on the store was refused: the protocol's code and one line.</summary>
internal sealed record Refusal(string Code, string Message);

/// <summary>
/// What a sponsor offers, who has borrowed which slabs of it, and the tokens that open data connections. The control thread
/// calls the methods of this file; the data plane's thread those of <see cref="ISlabDirectory"/>; anybody may read the
/// figures. The lock is held for look-ups only, never for a system call.
/// </summary>
internal sealed partial class SlabStore : ISlabDirectory, IDisposable
{
    private readonly SlabStoreOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly Dictionary<Guid, Demander> _byId = [];
    private readonly Demander?[] _byHandle;
    private readonly int[] _generations;
    private IServingLoop? _serving;
    private IRemoteMemory? _remote;
    private ulong _lastSlab;
    private long _lentBytes;
    private long _offeredBytes;
    private long _bearableBytes = long.MaxValue;
    private long _connections;

    public SlabStore(SlabStoreOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
        _offeredBytes = options.OfferedBytes;
        _byHandle = new Demander?[options.DemandersMax];
        _generations = new int[options.DemandersMax];
    }

    /// <summary>What is lent at most: what <see cref="Offer"/> said last, and less while the host cannot bear that.</summary>
    public long OfferedBytes => Math.Min(ToldBytes, Interlocked.Read(ref _bearableBytes));

    /// <summary>What the sponsor was told to offer.</summary>
    public long ToldBytes => Interlocked.Read(ref _offeredBytes);

    public long LentBytes => Interlocked.Read(ref _lentBytes);

    public long FreeBytes => Math.Max(0, OfferedBytes - LentBytes);

    public long DataConnections => Interlocked.Read(ref _connections);

    public int DemanderCount
    {
        get
        {
            lock (_gate)
            {
                return _byId.Count;
            }
        }
    }

    /// <summary>From here on memory is unmapped only after this loop has let go of it. Called once, before it starts.</summary>
    public void ServeWith(IServingLoop serving, IRemoteMemory? remote = null) => (_serving, _remote) = (serving, remote);

    /// <summary>Where RDMA connections come in; 0 where there are none.</summary>
    public int RemotePort => _remote?.Port ?? 0;

    /// <summary>From now on so much is offered. What is lent beyond that stays lent until its demanders have given it back.</summary>
    public void Offer(long bytes) => Interlocked.Exchange(ref _offeredBytes, bytes);

    /// <summary>What the host can bear to lend, whatever is offered; <see cref="long.MaxValue"/>: anything.</summary>
    public void Bear(long bytes) => Interlocked.Exchange(ref _bearableBytes, bytes);

    /// <summary>What a demander is asked to give back: its share of what is lent beyond the offer, or beyond the quota of its key, by what it has.</summary>
    public long ReclaimBytes(Guid id)
    {
        lock (_gate)
        {
            if (!_byId.TryGetValue(id, out Demander? demander))
            {
                return 0;
            }

            long ofAll = Share(_lentBytes - OfferedBytes, demander.LentBytes, _lentBytes);
            return demander.Account is { } account && LentTo(account) is var lent
                ? Math.Max(ofAll, Share(lent - account.QuotaBytes, demander.LentBytes, lent))
                : ofAll;
        }
    }

    /// <summary>Makes a demander known, or renews it, as who has that key. Null, else the reason: there are too many, or it is another's.</summary>
    public Refusal? Greet(Guid id, string name, string? key = null, TrustEntry? who = null)
    {
        lock (_gate)
        {
            if (_byId.TryGetValue(id, out Demander? known))
            {
                if (!IsOf(known, who))
                {
                    return new Refusal(ErrorCode.NotAllowed, "this demander id is another's");
                }

                known.Name = name;
                known.LastSeen = _time.GetTimestamp();
                Admit(known, key, who);
                return null;
            }

            if (who is not null && _byId.Values.Count(demander => demander.Account?.Name == who.Name) >= _options.DemandersPerNameMax)
            {
                return new Refusal(ErrorCode.Full, $"'{who.Name}' has {_options.DemandersPerNameMax} demanders here and gets no more");
            }

            int slot = Array.IndexOf(_byHandle, null);
            if (slot < 0)
            {
                return new Refusal(ErrorCode.Full, $"it serves {_options.DemandersMax} demanders and takes no more");
            }

            // The generation keeps a stale handle from meaning the next demander in its place.
            int generation = _generations[slot]++ % (int.MaxValue / _options.DemandersMax);
            Demander demander = new(id, name, new DemanderHandle((generation * _options.DemandersMax) + slot))
            {
                LastSeen = _time.GetTimestamp(),
            };
            Admit(demander, key, who);
            _byId.Add(id, demander);
            Volatile.Write(ref _byHandle[slot], demander);
            return null;
        }
    }

    /// <summary>Notes a sign of life of who has that key. False when the demander is not known (any more) as his.</summary>
    public bool Touch(Guid id, string? key = null, TrustEntry? who = null)
    {
        lock (_gate)
        {
            if (_byId.TryGetValue(id, out Demander? demander) && IsOf(demander, who))
            {
                Admit(demander, key, who);
                demander.LastSeen = _time.GetTimestamp();
                return true;
            }

            return false;
        }
    }

    /// <summary>Lends a slab. Nothing changes where it is refused.</summary>
    public Refusal? TryAllocate(Guid id, long bytes, out SlabEntry entry)
    {
        entry = default;
        if (bytes < _options.SlabBytesMin || bytes > _options.SlabBytesMax || !BitOperations.IsPow2(bytes))
        {
            return new Refusal(
                ErrorCode.BadRequest,
                $"a slab is a power of two from {new ByteSize(_options.SlabBytesMin)} to {new ByteSize(_options.SlabBytesMax)}, not {bytes} bytes");
        }

        lock (_gate)
        {
            if (bytes > FreeBytes)
            {
                return new Refusal(
                    ErrorCode.Full,
                    $"{new ByteSize(bytes)} asked, {new ByteSize(FreeBytes)} of {new ByteSize(OfferedBytes)} free");
            }

            if (_byId.TryGetValue(id, out Demander? demander) && demander.Slabs.Length >= ControlProtocol.SlabsPerDemanderMax)
            {
                return new Refusal(
                    ErrorCode.Full, $"a demander has {ControlProtocol.SlabsPerDemanderMax} slabs at most; ask for larger ones");
            }

            if (demander?.Account is { } account && LentTo(account) is var lent && bytes > account.QuotaBytes - lent)
            {
                return new Refusal(
                    ErrorCode.Quota, $"{new ByteSize(bytes)} asked, and '{account.Name}' has {new ByteSize(lent)} of {new ByteSize(account.QuotaBytes)}");
            }
        }

        // Only this thread lends, so what was free above still is.
        if (!SlabMemory.TryMap(bytes, out SlabMemory memory, out int errno))
        {
            return new Refusal(ErrorCode.Full, $"the sponsor's host gives no more memory: {Errno.Describe(errno)}");
        }

        lock (_gate)
        {
            if (!_byId.TryGetValue(id, out Demander? demander))
            {
                memory.Dispose();
                return new Refusal(ErrorCode.HelloFirst, "this demander is not known");
            }

            Slab slab = new(++_lastSlab, memory);
            demander.Add(slab);
            _lentBytes += bytes;
            entry = new SlabEntry(slab.Id, bytes);
            return null;
        }
    }

    /// <summary>Takes a slab back and returns its memory to the host before it returns.</summary>
    public Refusal? Free(Guid id, ulong slabId)
    {
        Slab? slab;
        lock (_gate)
        {
            slab = _byId.TryGetValue(id, out Demander? demander) ? demander.Remove(slabId) : null;
        }

        if (slab is null)
        {
            return new Refusal(ErrorCode.NoSuchSlab, $"this demander has no slab {slabId}");
        }

        Unmap([slab]);
        return null;
    }

    /// <summary>Opens a slab to RDMA connections of a domain of its demander.</summary>
    public unsafe Refusal? Expose(Guid id, ulong slabId, uint domain, out ulong address, out uint key)
    {
        (address, key) = (0, 0);
        Slab? slab;
        DemanderHandle handle;
        lock (_gate)
        {
            Demander? demander = _byId.GetValueOrDefault(id);
            slab = demander?.Find(slabId);
            handle = demander?.Handle ?? default;
        }

        if (slab is null)
        {
            return new Refusal(ErrorCode.NoSuchSlab, $"this demander has no slab {slabId}");
        }

        if (_remote is not { Port: > 0 })
        {
            return new Refusal(ErrorCode.Rdma, "this sponsor offers no RDMA");
        }

        if (!_remote.HasDomain(handle, domain))
        {
            return new Refusal(ErrorCode.NoSuchDomain, $"this demander has no connection in domain {domain}");
        }

        // Only this thread frees slabs, so it is there for as long as this takes.
        address = (ulong)slab.Memory.Address;
        return _remote.TryExpose(handle, domain, slab.Id, slab.Memory.Address, slab.Bytes, out key) is { } why
            ? new Refusal(ErrorCode.Rdma, why)
            : null;
    }

    public SlabEntry[] List(Guid id)
    {
        lock (_gate)
        {
            return _byId.TryGetValue(id, out Demander? demander)
                ? Array.ConvertAll(demander.Slabs, slab => new SlabEntry(slab.Id, slab.Bytes))
                : [];
        }
    }

    /// <summary>A new one-time token; null when the demander is not known.</summary>
    public byte[]? MakeToken(Guid id)
    {
        lock (_gate)
        {
            return _byId.TryGetValue(id, out Demander? demander)
                ? demander.AddToken(After(_options.TokenValid), _options.TokensPerDemanderMax)
                : null;
        }
    }

    /// <summary>
    /// Ends every data connection of a demander and voids its tokens. What it sent over them before takes effect before this returns, or
    /// never: it may send the same again over new connections.
    /// </summary>
    public void Reset(Guid id)
    {
        DemanderHandle handle;
        lock (_gate)
        {
            if (!_byId.TryGetValue(id, out Demander? demander))
            {
                return;
            }

            // First: a HELLO that came before and is read after would open another connection behind the back of those that are closed.
            demander.ForgetTokens();
            handle = demander.Handle;
        }

        _serving?.DropConnections(handle);
        _remote?.DropConnections(handle);
    }

    /// <summary>Set: a demander of whom this is true is not gone, however long it has been silent. Asked under the lock.</summary>
    public Func<Guid, bool>? IsOwned { get; set; }

    /// <summary>Frees what demanders that are gone have left, and returns them.</summary>
    public IReadOnlyList<Demander> SweepGone()
    {
        List<Demander>? gone = null;
        lock (_gate)
        {
            foreach (Demander demander in _byId.Values)
            {
                if (demander.Connections == 0 && _time.GetElapsedTime(demander.LastSeen) > _options.GoneAfter
                    && (demander.IsCutOff || IsOwned?.Invoke(demander.Id) != true))
                {
                    (gone ??= []).Add(demander);
                    _byId.Remove(demander.Id);
                    Volatile.Write(ref _byHandle[demander.Handle.Index % _options.DemandersMax], null);
                }
            }
        }

        if (gone is null)
        {
            return [];
        }

        gone.ForEach(demander => _remote?.DropConnections(demander.Handle));
        Unmap([.. gone.SelectMany(demander => demander.Slabs)]);
        return gone;
    }

    /// <summary>Who has borrowed how much: id, name, bytes.</summary>
    public (Guid Id, string Name, long LentBytes)[] LentByDemander()
    {
        lock (_gate)
        {
            return [.. _byId.Values.Select(demander => (demander.Id, demander.Name, demander.LentBytes))];
        }
    }

    /// <summary>Unmaps everything. The data plane has stopped by then, or is asked to let go.</summary>
    public void Dispose()
    {
        Slab[] slabs;
        lock (_gate)
        {
            slabs = [.. _byId.Values.SelectMany(demander => demander.Slabs)];
            _byId.Clear();
            Array.Clear(_byHandle);
        }

        Unmap(slabs);
    }

    // The slabs cannot be found any more. Once the serving thread has been between two requests, it works with none of them.
    private void Unmap(Slab[] slabs)
    {
        if (slabs.Length == 0)
        {
            return;
        }

        _serving?.RunBetweenRequests(static () => { });

        foreach (Slab slab in slabs)
        {
            _remote?.Withdraw(slab.Id);
            slab.Memory.Dispose();
        }

        lock (_gate)
        {
            _lentBytes -= slabs.Sum(slab => slab.Bytes);
        }
    }

    private long After(TimeSpan time) => _time.GetTimestamp() + (long)(time.TotalSeconds * _time.TimestampFrequency);
}
