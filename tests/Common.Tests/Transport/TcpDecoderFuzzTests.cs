using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Transport;

/// <summary>A sponsor that answers anything at all: the connection breaks, nothing crashes, hangs or is written too far.</summary>
public sealed unsafe class TcpDecoderFuzzTests
{
    private const int Connections = 1500;
    private const int RequestsMax = 12;
    private const int RunPagesMax = 4;
    private const int Seed = 20261;

    private readonly record struct Plan(bool IsWrite, int Pages, uint Slot);

    private static Plan[] PlanOf(int number)
    {
        Random random = new(Seed + number);
        return [.. Enumerable.Range(0, random.Next(1, RequestsMax + 1)).Select(
            _ => new Plan(random.Next(2) == 0, random.Next(1, RunPagesMax + 1), (uint)random.Next(1000)))];
    }

    private static byte[] AnswerTo(int number)
    {
        Random random = new(~(Seed + number));
        List<byte> bytes = [.. FakeSponsor.Welcome()];
        Plan[] plan = PlanOf(number);
        for (int i = 0; i < plan.Length; i++)
        {
            byte status = number > 0 && random.Next(12) == 0 ? (byte)random.Next(random.Next(2) == 0 ? 8 : 256) : (byte)0;
            bytes.AddRange(FakeSponsor.Response((byte)(plan[i].IsWrite ? 2 : 1), status, (ushort)plan[i].Pages, 9, plan[i].Slot, (ulong)i));
        }

        // Number 0 stays as it should be, so that the harness itself is known to work.
        for (int changes = number == 0 ? 0 : random.Next(1, 5); changes > 0; changes--)
        {
            // Mostly near the start of the answers, where the headers are.
            int place = 64 + (random.Next(5) == 0 ? random.Next(32) : random.Next(bytes.Count - 63));
            place = Math.Min(place, bytes.Count);
            switch (random.Next(4))
            {
                case 0 when place < bytes.Count:
                    bytes[place] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes.RemoveRange(place, Math.Min(random.Next(1, 5000), bytes.Count - place));
                    break;
                case 2:
                    byte[] garbage = new byte[random.Next(1, 5000)];
                    random.NextBytes(garbage);
                    bytes.InsertRange(place, garbage);
                    break;
                default:
                    bytes.RemoveRange(place, bytes.Count - place);
                    break;
            }
        }

        return [.. bytes];
    }

    [Fact]
    public void Whatever_a_sponsor_answers_every_request_ends_once()
    {
        using FakeSponsor sponsor = new(AnswerTo);
        int[] statuses = new int[3];
        for (int number = 0; number < Connections; number++)
        {
            using TcpDataConnection connection =
                TcpDataConnection.Connect(sponsor.Address, Guid.Empty, new byte[32], TimeSpan.FromSeconds(10));
            using PageBuffer buffer = new(RequestsMax * RunPagesMax);
            Plan[] plan = PlanOf(number);
            for (int i = 0; i < plan.Length; i++)
            {
                byte* memory = buffer[i * RunPagesMax];
                Assert.True(plan[i].IsWrite
                    ? connection.TryPostWrite((ulong)i, 9, plan[i].Slot, plan[i].Pages, memory)
                    : connection.TryPostRead((ulong)i, 9, plan[i].Slot, plan[i].Pages, memory));
            }

            connection.Submit();
            Dictionary<ulong, DataStatus> ended = Completions.Wait(connection, plan.Length, atOnce: 5);
            Completions.WaitUntilBroken(connection);
            Assert.NotNull(connection.BreakReason);
            Assert.Equal(0, connection.Poll(new DataCompletion[4]));
            foreach (DataStatus status in ended.Values)
            {
                statuses[(int)status]++;
            }

            Assert.True(number > 0 || ended.Values.All(status => status == DataStatus.Done));

            // What lies behind a shorter run in the same buffer belongs to nobody.
            for (int i = 0; i < plan.Length; i++)
            {
                int pages = plan[i].IsWrite ? 0 : plan[i].Pages;
                Assert.False(
                    buffer.Span((i * RunPagesMax) + pages, RunPagesMax - pages).ContainsAnyExcept((byte)0), $"seed {Seed}, connection {number}");
            }
        }

        // The fuzz reached all three ends.
        Assert.All(statuses, count => Assert.True(count > 20, string.Join(' ', statuses)));
    }
}
