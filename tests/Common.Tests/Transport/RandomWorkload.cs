using System.Diagnostics;
using Hecatonchire.Transport;
using Xunit;

namespace Hecatonchire.Tests.Transport;

/// <summary>
/// Random READs and WRITEs of runs, many in flight, never two on one slot at once; every page read is compared with a model.
/// The seed is in every message.
/// </summary>
internal sealed unsafe class RandomWorkload(IDataConnection connection, ulong slab, uint slots, int seed)
{
    private readonly uint[] _versions = new uint[slots];
    private readonly bool[] _busy = new bool[slots];
    private readonly Random _random = new(seed);

    private sealed record Request(uint Slot, int Pages, bool IsWrite, PageBuffer Buffer);

    /// <summary>Runs to the end or until asked to stop; returns how many requests were verified.</summary>
    public int Run(int requests, int runPagesMax, Func<bool>? stop = null)
    {
        Dictionary<ulong, Request> inFlight = [];
        Stack<PageBuffer> buffers = new(Enumerable.Range(0, 48).Select(_ => new PageBuffer(runPagesMax)));
        DataCompletion[] completions = new DataCompletion[16];
        long lastProgress = Stopwatch.GetTimestamp();
        int posted = 0;
        int ended = 0;
        try
        {
            while (inFlight.Count > 0 || (posted < requests && stop?.Invoke() != true))
            {
                for (int tries = _random.Next(24); tries > 0 && buffers.Count > 0 && posted < requests; tries--)
                {
                    if (TryPost((ulong)posted, runPagesMax, buffers) is { } request)
                    {
                        inFlight.Add((ulong)posted++, request);
                    }
                }

                connection.Submit();
                int done = connection.Poll(completions.AsSpan(0, _random.Next(1, completions.Length + 1)));
                for (int i = 0; i < done; i++)
                {
                    Assert.True(inFlight.Remove(completions[i].Cookie, out Request? request), Said("completed twice"));
                    Assert.True(completions[i].Status == DataStatus.Done, Said($"ended as {completions[i].Status}"));
                    End(request!);
                    buffers.Push(request!.Buffer);
                    ended++;
                }

                if (done > 0)
                {
                    lastProgress = Stopwatch.GetTimestamp();
                }
                else if (inFlight.Count > 0)
                {
                    Assert.True(Stopwatch.GetElapsedTime(lastProgress).TotalSeconds < 20, Said("hung"));
                    Completions.WaitForWork(connection);
                }
            }
        }
        finally
        {
            if (inFlight.Count > 0)
            {
                connection.Dispose();
            }

            foreach (PageBuffer buffer in buffers.Concat(inFlight.Values.Select(request => request.Buffer)))
            {
                buffer.Dispose();
            }
        }

        return ended;
    }

    private Request? TryPost(ulong cookie, int runPagesMax, Stack<PageBuffer> buffers)
    {
        int pages = _random.Next(4) == 0 ? _random.Next(1, runPagesMax + 1) : 1;
        uint slot = (uint)_random.Next((int)slots - pages + 1);
        if (_busy.AsSpan((int)slot, pages).Contains(true))
        {
            return null;
        }

        bool write = _random.Next(2) == 0;
        PageBuffer buffer = buffers.Peek();
        for (int i = 0; write && i < pages; i++)
        {
            PageBuffer.Fill(buffer[i], slot + (uint)i, _versions[slot + i] + 1);
        }

        if (!(write
            ? connection.TryPostWrite(cookie, slab, slot, pages, buffer.Memory)
            : connection.TryPostRead(cookie, slab, slot, pages, buffer.Memory)))
        {
            Assert.False(connection.IsBroken, Said("broke"));
            return null;
        }

        _ = buffers.Pop();
        _busy.AsSpan((int)slot, pages).Fill(true);
        return new Request(slot, pages, write, buffer);
    }

    private void End(Request request)
    {
        for (int i = 0; i < request.Pages; i++)
        {
            uint slot = request.Slot + (uint)i;
            _busy[slot] = false;
            if (request.IsWrite)
            {
                _versions[slot]++;
            }
            else
            {
                Assert.True(
                    PageBuffer.Holds(request.Buffer[i], slot, _versions[slot]), Said($"slot {slot} is not version {_versions[slot]}"));
            }
        }
    }

    private string Said(string what) => $"random workload, seed {seed}: {what}";
}
