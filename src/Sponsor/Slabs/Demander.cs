using System.Security.Cryptography;
using Hecatonchire.Control.Messages;
using Hecatonchire.Sponsor.Serving;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>
/// A demander and what it was lent. Everything but <see cref="Slabs"/> is read and written under the store's lock.
/// </summary>
internal sealed class Demander(Guid id, string name, DemanderHandle handle)
{
    private readonly Queue<(byte[] Token, long Expires)> _tokens = new();
    private Slab[] _slabs = [];

    public Guid Id { get; } = id;

    public string Name { get; set; } = name;

    public DemanderHandle Handle { get; } = handle;

    /// <summary>Timestamp of the last sign of life.</summary>
    public long LastSeen { get; set; }

    /// <summary>The public key that it spoke with last; null where that is not known.</summary>
    public string? Key { get; set; }

    /// <summary>Whose it is; null while everybody is served.</summary>
    public Account? Account { get; set; }

    /// <summary>Its key is not trusted any more: its connections were ended, and what it has is freed as if it were gone.</summary>
    public bool IsCutOff { get; set; }

    /// <summary>Its own, where it has no account.</summary>
    public ServingShare Share { get; } = new();

    /// <summary>Open data connections.</summary>
    public int Connections { get; set; }

    public long LentBytes { get; private set; }

    /// <summary>In the order of their ids. A new array with each change: the serving thread reads whichever it finds.</summary>
    public Slab[] Slabs => Volatile.Read(ref _slabs);

    public void Add(Slab slab)
    {
        LentBytes += slab.Bytes;
        Volatile.Write(ref _slabs, [.. _slabs, slab]);
    }

    /// <summary>Null when it has no such slab.</summary>
    public Slab? Remove(ulong id)
    {
        Slab? slab = Find(id);
        if (slab is not null)
        {
            LentBytes -= slab.Bytes;
            Volatile.Write(ref _slabs, Array.FindAll(_slabs, other => other != slab));
        }

        return slab;
    }

    /// <summary>From any thread, without allocation.</summary>
    public Slab? Find(ulong id)
    {
        Slab[] slabs = Slabs;
        int low = 0;
        int high = slabs.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            ulong found = slabs[middle].Id;
            if (found == id)
            {
                return slabs[middle];
            }

            if (found < id)
            {
                low = middle + 1;
            }
            else
            {
                high = middle - 1;
            }
        }

        return null;
    }

    public byte[] AddToken(long expires, int tokensMax)
    {
        while (_tokens.Count >= tokensMax)
        {
            _tokens.Dequeue();
        }

        byte[] token = RandomNumberGenerator.GetBytes(ControlProtocol.TokenBytes);
        _tokens.Enqueue((token, expires));
        return token;
    }

    public void ForgetTokens() => _tokens.Clear();

    /// <summary>Uses the token up. Compares in constant time, so that timing tells nothing of a token.</summary>
    public bool TryRedeem(ReadOnlySpan<byte> token, long now)
    {
        bool found = false;
        for (int i = _tokens.Count; i > 0; i--)
        {
            (byte[] Token, long Expires) candidate = _tokens.Dequeue();
            bool same = CryptographicOperations.FixedTimeEquals(candidate.Token, token);
            if (candidate.Expires > now && same)
            {
                found = true;
            }
            else if (candidate.Expires > now)
            {
                _tokens.Enqueue(candidate);
            }
        }

        return found;
    }
}
