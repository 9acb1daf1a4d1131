using Hecatonchire.Transport;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Transport.Reconnecting;

/// <summary>One connection to a <see cref="StragglingSponsor"/>. Throws where it is used after its disposal.</summary>
internal sealed unsafe class StragglingConnection(StragglingSponsor sponsor, Random random) : IDataConnection
{
    public const int RequestsMax = 12;

    private readonly List<Request> _unsent = [];
    private readonly Queue<Request> _atSponsor = new();
    private readonly List<Request> _answered = [];
    private readonly List<Request> _inFlight = [];
    private bool _isEnded;
    private bool _hasRefused;
    private bool _isDisposed;

    private sealed record Request(ulong Cookie, uint Slot, nint Buffer, bool IsWrite, ulong[] Pages)
    {
        public DataStatus Status { get; set; } = DataStatus.Done;

        public void TakeFromBuffer()
        {
            for (int i = 0; i < Pages.Length; i++)
            {
                Pages[i] = *(ulong*)(Buffer + (i << PageSize.Shift));
            }
        }

        public void PutIntoBuffer()
        {
            for (int i = 0; i < Pages.Length; i++)
            {
                *(ulong*)(Buffer + (i << PageSize.Shift)) = Pages[i];
            }
        }
    }

    public string Transport => "straggling";

    public int PagesPerRequestMax => 3;

    public int FreeRequests => IsBroken ? 0 : RequestsMax - _inFlight.Count;

    public bool IsBroken { get; private set; }

    public int WaitDescriptor => -1;

    public uint WaitEvents => 0;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slot, pages, buffer, false);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slot, pages, buffer, true);

    private bool TryPost(ulong cookie, uint slot, int pages, byte* buffer, bool isWrite)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (FreeRequests == 0)
        {
            return false;
        }

        Request request = new(cookie, slot, (nint)buffer, isWrite, new ulong[pages]);
        _unsent.Add(request);
        _inFlight.Add(request);
        return true;
    }

    /// <summary>Sends some of it: the socket is full now and then.</summary>
    public void Submit()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        int sent = _isEnded ? 0 : random.Next(_unsent.Count + 1);
        foreach (Request request in _unsent.Take(sent))
        {
            if (request.IsWrite && !sponsor.IsOneSided)
            {
                request.TakeFromBuffer();
            }

            _atSponsor.Enqueue(request);
        }

        _unsent.RemoveRange(0, sent);
    }

    /// <summary>
    /// The sponsor reads the next request. It knows nothing of the demander's end. One-sided, it is the demander's device that touches the
    /// buffer, now, until its end.
    /// </summary>
    public void Serve(bool refuses)
    {
        if ((sponsor.IsOneSided && (_isEnded || _isDisposed || _hasRefused)) || !_atSponsor.TryDequeue(out Request? request))
        {
            return;
        }

        if (sponsor.IsOneSided && request.IsWrite)
        {
            request.TakeFromBuffer();
        }

        if (refuses)
        {
            _hasRefused = true;
            request.Status = DataStatus.Refused;
            _atSponsor.Clear();
        }
        else
        {
            Span<ulong> stored = sponsor.Slots.AsSpan((int)request.Slot, request.Pages.Length);
            Span<ulong> carried = request.Pages;
            (request.IsWrite ? carried : stored).CopyTo(request.IsWrite ? stored : carried);
        }

        if (sponsor.IsOneSided && !request.IsWrite && !refuses)
        {
            request.PutIntoBuffer();
        }

        _answered.Add(request);
    }

    public int Poll(Span<DataCompletion> completions)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Submit();
        int done = 0;
        while (done < completions.Length && !IsBroken && _answered.Count > 0 && random.Next(4) > 0)
        {
            // In any order, as verbs allow; a refusal is the last answer.
            Request request = _answered[random.Next(_answered.Count)];
            _ = _answered.Remove(request);
            _ = _inFlight.Remove(request);
            if (!request.IsWrite && request.Status == DataStatus.Done && !sponsor.IsOneSided)
            {
                request.PutIntoBuffer();
            }

            completions[done++] = new DataCompletion(request.Cookie, request.Status);
            IsBroken |= request.Status == DataStatus.Refused;
        }

        // What was answered before the end may still arrive, or not.
        IsBroken |= _isEnded && (_answered.Count == 0 || random.Next(3) == 0);
        while (done < completions.Length && IsBroken && _inFlight.Count > 0)
        {
            completions[done++] = new DataCompletion(_inFlight[0].Cookie, DataStatus.Disconnected);
            _inFlight.RemoveAt(0);
        }

        return done;
    }

    /// <summary>The network between is gone. What is at the sponsor stays there.</summary>
    public void Break() => _isEnded = true;

    /// <summary>The sponsor closes its end and throws away what it has not read.</summary>
    public void Drop()
    {
        _isEnded = true;
        _atSponsor.Clear();
    }

    public bool IsDisposed => _isDisposed;

    public void Dispose() => _isDisposed = true;
}
