using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Tests.Transport.Striped;

/// <content>What happens to sponsors, to their memory and to stripes.</content>
internal sealed unsafe partial class StripeSimulation
{
    /// <summary>Something happens to a sponsor, or to a stripe that lacks a replica.</summary>
    private void Upset()
    {
        if (_sponsors.Count > 0)
        {
            FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
            if (_random.Next(1000) < _settings.AwayPerThousand)
            {
                sponsor.Reader.GoAway();
                sponsor.Writer.GoAway();
            }

            if (_random.Next(1000) < _settings.SilentPerThousand)
            {
                (sponsor.Reader.IsSilent, sponsor.Writer.IsSilent) = (true, true);
            }

            if (_random.Next(1000) < _settings.SlowPerThousand)
            {
                (sponsor.Reader.IsSlow, sponsor.Writer.IsSlow) = (true, _random.Next(2) == 0);
            }

            if (_random.Next(1000) < _settings.LosePerThousand)
            {
                sponsor.Reader.Lose();
                sponsor.Writer.Lose();
            }
        }

        if (_random.Next(25) == 0)
        {
            FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
            Calm(sponsor);
            Return(sponsor);
        }

        if (_random.Next(200) == 0)
        {
            Replace();
        }

        FreeQuiet();
        if (_random.Next(100) == 0)
        {
            FakeSponsor lost = _sponsors[_random.Next(_sponsors.Count)];
            if (lost.IsLost && _set.IsQuiet(lost.Number, long.MaxValue) && _set.IsLost(lost.Number))
            {
                _set.Remove(lost.Number);
                _ = _sponsors.Remove(lost);
                Join();
            }
        }

        if (_random.Next(20) == 0)
        {
            Refill();
        }

        if (_random.Next(40) == 0)
        {
            Move();
        }

        if (_settings.CorruptPerThousand > 0 && _random.Next(100) == 0)
        {
            Damage();
        }
    }

    /// <summary>A bit changes where it lies, and stays so.</summary>
    private void Damage()
    {
        (ulong Stripe, uint Slot) slot = ((ulong)_random.Next(_settings.Stripes), (uint)_random.Next((int)SlotCount));
        Replica[] live = [.. _set.Stripes[slot.Stripe]!.Replicas.Where(replica => replica.State == ReplicaState.Live)];
        if (_model.ContainsKey(slot) && !_busy.Contains(slot) && live.Length > 0)
        {
            Replica replica = live[_random.Next(live.Length)];
            _sponsors.Single(sponsor => sponsor.Number == replica.Sponsor).Memory.Flip(replica.Slab, slot.Slot, _random.Next(64));
            _ = _damaged.Add(slot);
            _ = _repaired.Remove((slot.Stripe, slot.Slot, replica.Sponsor));
        }
    }

    /// <summary>Its memory, not the way to it, was wrong: from now on it has what the model has.</summary>
    private void NoteRepaired(ulong stripe, uint slot, int sponsor)
    {
        Repaired++;
        _ = _repaired.Add((stripe, slot, sponsor));
    }

    /// <summary>A stripe that nothing of the user's is under way to is given back, and another is had, often under the same number: its slabs go once nothing is in flight there.</summary>
    private void Replace()
    {
        ulong number = (ulong)_random.Next(_settings.Stripes);
        if (_busy.Any(slot => slot.Stripe == number) || _sponsors.All(sponsor => sponsor.IsLost))
        {
            return;
        }

        (FakeSponsor, ulong)[] slabs = [.. _set.Stripes[number]!.Replicas.Where(replica => replica.State != ReplicaState.None)
            .Select(replica => (_sponsors.Single(sponsor => sponsor.Number == replica.Sponsor), replica.Slab))];
        bool isInUse = _set.IsInUse(number);
        _set.Stripes.Remove(number);
        foreach ((FakeSponsor sponsor, ulong slab) in slabs)
        {
            _toFree.Add((sponsor, slab, isInUse ? _now * 1000 : -1));
        }

        FreeQuiet();
        FakeSponsor[] chosen = [.. _sponsors.Where(sponsor => !sponsor.IsLost).OrderBy(_ => _random.Next()).Take(_settings.Replicas)];
        Check(AddStripe(chosen) == number, "a number is not used again");
        _ = _unknown.RemoveWhere(slot => slot.Stripe == number);
        _ = _damaged.RemoveWhere(slot => slot.Stripe == number);
        _ = _repaired.RemoveWhere(slot => slot.Stripe == number);
        for (uint slot = 0; slot < SlotCount; slot++)
        {
            _ = _model.Remove((number, slot));
        }

        Replaced++;
    }

    /// <summary>As a pool does it.</summary>
    private void FreeQuiet()
    {
        foreach ((FakeSponsor sponsor, ulong slab, long at) in _toFree.ToArray())
        {
            if (at < 0 || !_sponsors.Contains(sponsor) || _set.IsQuiet(sponsor.Number, at))
            {
                sponsor.Memory.Free(slab);
                _ = _toFree.Remove((sponsor, slab, at));
            }
        }
    }

    /// <summary>A replica more than there are to be, in place of one that is dropped when the new one has everything.</summary>
    private void Move()
    {
        ulong number = (ulong)_random.Next(_settings.Stripes);
        if (_set.Stripes[number] is not { IsLost: false } stripe || stripe.Count(ReplicaState.Live) < _settings.Replicas || _set.Copier!.IsBusy)
        {
            return;
        }

        Replica[] live = [.. stripe.Replicas.Where(replica => replica.State == ReplicaState.Live)];
        FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
        if (!sponsor.IsLost && _set.TryFill(number, SlotCount, sponsor.Number, sponsor.Memory.Add(SlotCount)))
        {
            _moving = (number, live[_random.Next(live.Length)].Sponsor);
        }
    }

    private void NoteFilled(ulong stripe, int sponsor)
    {
        Filled++;

        // Where every replica that it was filled from had a page wrong, it has it so too.
        _ = _repaired.RemoveWhere(slot => slot.Stripe == stripe && slot.Sponsor == sponsor);
        (ulong moving, int from) = _moving;
        _moving = (0, -1);
        if (from >= 0 && moving == stripe && _set.Stripes[stripe]!.Count(ReplicaState.Live) > _settings.Replicas)
        {
            Moved++;
            _set.DropReplica(stripe, from);
        }
    }

    private void Refill()
    {
        ulong number = (ulong)_random.Next(_settings.Stripes);
        if (_set.Stripes[number] is not { IsLost: false } stripe || StripeTable.ReplicasMax - stripe.Count(ReplicaState.None) >= _settings.Replicas)
        {
            return;
        }

        FakeSponsor sponsor = _sponsors[_random.Next(_sponsors.Count)];
        if (!sponsor.IsLost)
        {
            _ = _set.TryFill(number, SlotCount, sponsor.Number, sponsor.Memory.Add(SlotCount));
        }
    }

    private static void Calm(FakeSponsor sponsor)
    {
        (sponsor.Reader.IsSilent, sponsor.Writer.IsSilent) = (false, false);
        (sponsor.Reader.IsSlow, sponsor.Writer.IsSlow) = (false, false);
    }

    /// <summary>A sponsor is away with both its connections or with none.</summary>
    private static void Return(FakeSponsor sponsor)
    {
        sponsor.Reader.GoAway();
        sponsor.Writer.GoAway();
        if (!sponsor.IsLost)
        {
            sponsor.Reader.Return();
            sponsor.Writer.Return();
        }
    }
}
