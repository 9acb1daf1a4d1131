using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <content>
/// What several sponsors need besides: a thread, "heca-stripes", that has stripes filled anew on another sponsor when one is lost, and gets slots for those that are lost; and another,
/// "heca-sponsors", for what may wait long for a sponsor that does not answer: it takes sponsors back that return, gives back what is not needed, and asks what they have to lend.
/// </content>
internal sealed partial class StripePool
{
    private static readonly TimeSpan CareTime = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan FiguresTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReturnTime = TimeSpan.FromMilliseconds(500);

    private readonly AutoResetEvent _careFor = new(false);
    private readonly AutoResetEvent _tendTo = new(false);
    private readonly List<(LenderLink Link, ulong Slab, long At)> _toFree = [];
    private Thread? _care;
    private Thread? _tend;
    private volatile bool _careStops;
    private readonly List<SponsorEndpoint> _absent;
    private LenderLink? _lastDropped;
    private long _figuresAt;
    private long _returnAt;
    private int _degraded;
    private bool _isShort;
    private bool _isSpilling;
    private string? _heldReason;

    /// <summary>Connects to a sponsor as this demander, for one that was lost or was not there at the start. Throws <see cref="PagerStartException"/>.</summary>
    public Func<SponsorEndpoint, Lender>? Reconnect { get; init; }

    /// <summary>Stripes that have fewer replicas than they should.</summary>
    public int Degraded => Volatile.Read(ref _degraded);

    private void StartCare()
    {
        _care = new Thread(() => Repeat(_careFor, Care)) { Name = "heca-stripes", IsBackground = true };
        _tend = new Thread(() => Repeat(_tendTo, Tend)) { Name = "heca-sponsors", IsBackground = true };
        _care.Start();
        _tend.Start();
    }

    private void StopCare()
    {
        _careStops = true;
        WakeCare();
        _care?.Join();
        _tend?.Join();
    }

    private void WakeCare()
    {
        _ = _careFor.Set();
        _ = _tendTo.Set();
    }

    private void Repeat(AutoResetEvent wake, Action step)
    {
        while (!_careStops)
        {
            _ = wake.WaitOne(CareTime);
            try
            {
                step();
            }
            catch (Exception e) when (e is SponsorException or DataConnectionException or PagerStartException or ObjectDisposedException)
            {
                // A sponsor went meanwhile; the next time finds it gone.
                Log.CareFailed(_logger, e.Message);
            }
        }
    }

    private void Care()
    {
        ReplaceLostSlots();
        if (!Refill() && !Spread())
        {
            Move();
        }
    }

    private void Tend()
    {
        TellLost();
        long now = Environment.TickCount64;
        if (now - _returnAt >= ReturnTime.TotalMilliseconds)
        {
            _returnAt = now;
            TakeBack();
            TakeIn();
        }

        FreeDropped();
        GiveBackUnknown();
        if (now - _figuresAt >= FiguresTime.TotalMilliseconds)
        {
            _figuresAt = now;
            AskFigures();
            TellCorrupted();
        }

        TellSpilled();
    }

    /// <summary>Here and not where it is noticed: the pager thread writes no log.</summary>
    private void TellLost()
    {
        foreach (LenderLink link in _links.Now().Where(link => link.IsLost && !link.IsLossTold))
        {
            link.IsLossTold = true;
            Log.SponsorLost(_logger, link.Name, link.LossReason!);
        }
    }

    private void TellCorrupted()
    {
        foreach (LenderLink link in _links.Now())
        {
            long times = Volatile.Read(ref _corruptedBy[link.Number]) - link.CorruptedTold;
            if (times > 0)
            {
                link.CorruptedTold += times;
                Log.Corrupted(_logger, link.Name, times);
            }
        }
    }

    private void GiveBackOnceQuiet((int Sponsor, ulong Slab)[] replicas)
    {
        foreach ((int sponsor, ulong slab) in replicas)
        {
            if (_links.Of(sponsor) is { } link)
            {
                _dropped.Enqueue((link, slab, System.Diagnostics.Stopwatch.GetTimestamp()));
            }
        }

        WakeCare();
    }

    /// <summary>What replicas were on that are out is given back, once nothing in flight is about it.</summary>
    private void FreeDropped()
    {
        while (_dropped.TryDequeue(out (LenderLink, ulong, long) dropped))
        {
            _toFree.Add(dropped);
        }

        foreach ((LenderLink link, ulong slab, long at) in _toFree.ToArray())
        {
            bool isQuiet = link.IsLost;
            if (!isQuiet && link.IsHere)
            {
                _runOn(() => isQuiet = Set.IsQuiet(link.Number, at));
            }

            if (isQuiet)
            {
                link.Free(slab, SlabPlacement.AnswerTime);
                _ = _toFree.Remove((link, slab, at));
            }
        }
    }

    /// <summary>
    /// Of a sponsor that did not answer when it was to lend or to be given something back: when it answers again, what it has lent and nothing here is on is given back.
    /// </summary>
    private void GiveBackUnknown()
    {
        foreach (LenderLink link in _links.Now().Where(link => link is { DoesNotAnswer: true, IsLost: false, IsHere: true }))
        {
            // Nobody borrows, or gives back, meanwhile.
            lock (_lock)
            {
                HashSet<ulong> unknown = [.. link.ListSlabs(SlabPlacement.AnswerTime).Select(slab => slab.Slab)];
                link.DoesNotAnswer = false;
                _runOn(() =>
                {
                    for (int number = 0; number < Set.Stripes.Count; number++)
                    {
                        unknown.ExceptWith(
                            Set.Stripes[(ulong)number]?.Replicas.Where(replica => replica.State != ReplicaState.None && replica.Sponsor == link.Number).Select(replica => replica.Slab) ?? []);
                    }

                    unknown.ExceptWith(_dropped.Where(dropped => dropped.Link == link).Select(dropped => dropped.Slab));
                });
                unknown.ExceptWith(_toFree.Where(dropped => dropped.Link == link).Select(dropped => dropped.Slab));
                foreach (ulong slab in unknown)
                {
                    link.Free(slab, SlabPlacement.AnswerTime);
                }
            }
        }
    }

    private void TellSpilled()
    {
        bool isSpilling = SpilledBytes > 0;
        if (isSpilling != _isSpilling)
        {
            _isSpilling = isSpilling;
            if (isSpilling)
            {
                Log.Spilling(_logger, _spill!.Name);
            }
            else
            {
                Log.Unspilled(_logger, _spill!.Name);
            }
        }

        if (_spill?.HeldReason != _heldReason)
        {
            _heldReason = _spill?.HeldReason;
            if (_heldReason is not null)
            {
                Log.Held(_logger, _spill!.Name, _heldReason);
            }
        }
    }

    private void AskFigures()
    {
        foreach (LenderLink link in _links.Now().Where(link => link.IsHere))
        {
            try
            {
                link.AskFigures(FiguresTime);
            }
            catch (SponsorException e)
            {
                // The others' are of use without it.
                Log.CareFailed(_logger, e.Message);
            }
        }
    }

    /// <summary>A sponsor that was lost may have come back, as another process or after its network did: what it held is of no use any more.</summary>
    private void TakeBack()
    {
        foreach (SponsorLink link in _links.Now().OfType<SponsorLink>().Where(link => link.IsLost && link.Number >= 0))
        {
            bool isIdle = false;
            _runOn(() => isIdle = Set.IsQuiet(link.Number, long.MaxValue));
            bool isGone = isIdle && HasGone(link.Endpoint);
            if (!isIdle || (!isGone && !TryJoin(link.Endpoint, returning: link)))
            {
                continue;
            }

            // Who borrows may just be asking it.
            lock (_lock)
            {
                _runOn(() => Set.Remove(link.Number));
                _links.Remove(link);
                link.Dispose();
            }

            _ = _toFree.RemoveAll(dropped => dropped.Link == link);
            if (!isGone)
            {
                Log.SponsorReturned(_logger, link.Name);
            }
        }
    }

    /// <summary>Sponsors that were not there at the start may be by now.</summary>
    private void TakeIn()
    {
        foreach (SponsorEndpoint sponsor in (SponsorEndpoint[])[.. _absent, .. FoundAnew()])
        {
            if (TryJoin(sponsor))
            {
                _ = _absent.Remove(sponsor);
                Log.SponsorJoined(_logger, $"{sponsor.Host}:{sponsor.Port}");
            }
        }
    }

    /// <summary>Borrows from a sponsor from now on. False when it cannot be had yet.</summary>
    private bool TryJoin(SponsorEndpoint sponsor, SponsorLink? returning = null)
    {
        if (Reconnect is null || !PagerHost.IsListening(sponsor))
        {
            return false;
        }

        Lender lender;
        try
        {
            lender = Reconnect(sponsor);
        }
        catch (PagerStartException e)
        {
            TellRefused(sponsor, e.Message);
            return false;
        }

        // What this demander has there is about to be freed, so nobody else of it may use that: under another name it may be a sponsor that we have.
        if (_links.Now().Any(link => link != returning && link.Instance == lender.Client.Hello.Instance))
        {
            lender.Dispose();
            return false;
        }

        try
        {
            foreach (SlabEntry slab in lender.Client.ListSlabs())
            {
                lender.Client.FreeSlab(slab.Slab);
            }

            var fresh = new SponsorLink(lender, _logger) { HasRoomAnew = true };
            AddOnPagerThread(fresh);
            fresh.Start();
            return true;
        }
        catch
        {
            lender.Dispose();
            throw;
        }
    }

    private void AddOnPagerThread(LenderLink link)
    {
        DataConnectionException? failure = null;
        _runOn(() =>
        {
            try
            {
                Add(link);
                WriteSponsor(link);
            }
            catch (DataConnectionException e)
            {
                failure = e;
            }
        });
        if (failure is not null)
        {
            throw failure;
        }
    }

    /// <summary>Segments were promised a slot for each page; those that are lost are had elsewhere.</summary>
    private void ReplaceLostSlots()
    {
        lock (_lock)
        {
            bool isShort = Slots.TotalSlots < _wantedPages && GainSlots(_wantedPages - Slots.TotalSlots, maySpill: true) != 0;
            if (isShort != _isShort)
            {
                _isShort = isShort;
                _runOn(() => OnShort?.Invoke(isShort));
                if (isShort)
                {
                    Log.Short(_logger);
                }
            }
        }
    }

    /// <summary>Has the next stripe that lacks a replica filled, if there is a sponsor for it. True where there was, or one is being filled.</summary>
    private bool Refill()
    {
        bool isBusy = false;
        ulong chosen = 0;
        uint slots = 0;
        HashSet<int>? taken = null;
        int here = _links.Now().Count(link => link.IsHere && link is SponsorLink), lacking = 0;
        _runOn(() =>
        {
            isBusy = Set.Copier!.IsBusy;
            for (int number = 0; number < Set.Stripes.Count; number++)
            {
                if (Set.Stripes[(ulong)number] is not { IsLost: false } stripe || stripe.Count(ReplicaState.Live) >= _borrowing.Replicas)
                {
                    continue;
                }

                lacking++;
                int replicas = StripeTable.ReplicasMax - stripe.Count(ReplicaState.None);
                if (taken is null && !isBusy && replicas < Math.Min(_borrowing.Replicas, StripeTable.ReplicasMax))
                {
                    (chosen, slots) = ((ulong)number, stripe.Slots);
                    taken = [.. stripe.Replicas.Where(replica => replica.State != ReplicaState.None).Select(replica => replica.Sponsor)];
                }
            }
        });
        NoteLacking(lacking);
        return isBusy || (taken is not null && here > taken.Count(sponsor => _links.Of(sponsor) is SponsorLink { IsHere: true })
            && TryFill(chosen, slots, link => !taken.Contains(link.Number), taken, StripeCopier.BytesPerSecondDefault));
    }

    /// <summary>Has a replica of the stripe, which those that are near have, made on a sponsor that suits; false where there is none that has memory.</summary>
    private bool TryFill(ulong stripe, uint slots, Predicate<LenderLink> suits, IReadOnlyCollection<int> near, long bytesPerSecond, int moveFrom = -1)
    {
        lock (_lock)
        {
            if (_placement.Borrow((long)slots << PageSize.Shift, 1, suits, [.. near.Where(sponsor => sponsor != moveFrom)]) is not { } borrowed)
            {
                return false;
            }

            bool isUsed = false;
            _runOn(() =>
            {
                isUsed = borrowed.Slots == slots && Set.TryFill(stripe, slots, borrowed.Replicas[0].Sponsor, borrowed.Replicas[0].Slab);
                if (isUsed)
                {
                    Set.Copier!.BytesPerSecondMax = bytesPerSecond;
                    _moving = (stripe, moveFrom);
                }
            });
            if (!isUsed)
            {
                _placement.GiveBack(borrowed.Replicas);
            }

            return isUsed;
        }
    }

    private void NoteLacking(int lacking)
    {
        int before = Interlocked.Exchange(ref _degraded, lacking);
        if (lacking > 0 && before == 0)
        {
            Log.Degraded(_logger, lacking);
        }
        else if (lacking == 0 && before > 0)
        {
            Log.Whole(_logger);
        }
    }
}
