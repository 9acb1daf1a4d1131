using Hecatonchire.Control.Messages;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Units;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>The data plane's side.</summary>
internal sealed partial class SlabStore
{
    public bool TryRedeem(ReadOnlySpan<byte> token, ReadOnlySpan<byte> demander, out DemanderHandle handle)
    {
        handle = default;
        if (token.Length != ControlProtocol.TokenBytes || demander.Length != WireId.Length)
        {
            return false;
        }

        lock (_gate)
        {
            long now = _time.GetTimestamp();
            if (!_byId.TryGetValue(WireId.Read(demander), out Demander? known) || !known.TryRedeem(token, now))
            {
                return false;
            }

            // A sign of life: it is not swept between here and its connection being counted.
            known.LastSeen = now;
            handle = known.Handle;
            return true;
        }
    }

    public bool TryFind(DemanderHandle demander, ulong slab, out SlabView view)
    {
        if (At(demander)?.Find(slab) is { } found)
        {
            view = found.View;
            return true;
        }

        view = default;
        return false;
    }

    public void CountConnection(DemanderHandle demander, int change)
    {
        lock (_gate)
        {
            if (At(demander) is { } known)
            {
                known.Connections += change;
                Interlocked.Add(ref _connections, change);
            }
        }
    }

    private Demander? At(DemanderHandle handle)
    {
        Demander? demander = Volatile.Read(ref _byHandle[handle.Index % _options.DemandersMax]);
        return demander?.Handle == handle ? demander : null;
    }
}
