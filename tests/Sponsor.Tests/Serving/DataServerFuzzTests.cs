using System.Net.Sockets;
using Hecatonchire.Sponsor.Serving;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>Random and mutated streams against a real server while a verifying connection is at work.</summary>
public sealed class DataServerFuzzTests
{
    private const int Frames = 20_000;
    private const int Seed = 4711;

    [Fact]
    public void Nothing_a_peer_sends_disturbs_the_others_or_makes_the_server_grow()
    {
        using ServerUnderTest server = new();
        Verifier verifier = new(server);
        Random random = new(Seed);
        int frames = Fuzz(server, random, Frames / 4);
        long early = ResidentBytes();
        while (frames < Frames)
        {
            frames += Fuzz(server, random, Frames / 4);
        }

        verifier.Finish();
        server.WaitFor(counters => counters.ConnectionsOpen == 0, "closing all");
        Assert.Equal(0, server.Directory.Connections);
        long grown = ResidentBytes() - early;
        Assert.True(grown < 64 << 20, $"seed {Seed}: {grown >> 20} MiB grown");

        // The fuzz came past the HELLO and to every kind of refusal that input alone can bring.
        DataServerCounters counters = server.Server.Counters;
        foreach (RefusalReason reason in (ReadOnlySpan<RefusalReason>)[
            RefusalReason.Malformed, RefusalReason.Version, RefusalReason.Token, RefusalReason.NoSuchSlab,
            RefusalReason.OutOfRange, RefusalReason.SecondHello, RefusalReason.Truncated])
        {
            Assert.True(counters.Refused(reason) > 0, $"seed {Seed}: {reason} never happened");
        }
    }

    private static long ResidentBytes() => Environment.WorkingSet;

    private static int Fuzz(ServerUnderTest server, Random random, int atLeast)
    {
        byte[] sink = new byte[1 << 16];
        int frames = 0;
        while (frames < atLeast)
        {
            List<byte> stream = [.. RawPeer.Hello(server)];
            int count = random.Next(1, 40);
            for (int i = 0; i < count; i++)
            {
                stream.AddRange(RandomFrame(server, random));
            }

            for (int changes = random.Next(4); changes > 0; changes--)
            {
                int place = random.Next(3) == 0 ? random.Next(64) : random.Next(stream.Count);
                stream[place] ^= (byte)(1 << random.Next(8));
            }

            if (random.Next(4) == 0)
            {
                int cut = random.Next(stream.Count);
                stream.RemoveRange(cut, stream.Count - cut);
            }

            frames += count + 1;
            using RawPeer peer = new(server);
            try
            {
                Span<byte> bytes = stream.ToArray();
                while (!bytes.IsEmpty)
                {
                    int piece = random.Next(8) == 0 ? random.Next(1, bytes.Length + 1) : bytes.Length;
                    peer.Send(bytes[..piece]);
                    bytes = bytes[piece..];
                }

                // Some wait for the answers, some just go.
                if (random.Next(3) > 0)
                {
                    peer.Socket.Shutdown(SocketShutdown.Send);
                    while (peer.Socket.Receive(sink) > 0)
                    {
                    }
                }
            }
            catch (SocketException)
            {
                // Closed on us, which is right.
            }
        }

        return frames;
    }

    private static byte[] RandomFrame(ServerUnderTest server, Random random)
    {
        switch (random.Next(40))
        {
            case 0:
                byte[] garbage = new byte[random.Next(1, 200)];
                random.NextBytes(garbage);
                return garbage;
            case 1:
                return RawPeer.Hello(server);
            case 2:
                return RawPeer.Request((byte)random.Next(4), (ulong)random.Next(4), (uint)random.Next(), random.Next(300));
            default:
                return RawPeer.Request(
                    (byte)random.Next(1, 3), server.Slab, (uint)random.Next(2000), random.Next(1, 5), (ulong)random.NextInt64());
        }
    }
}
