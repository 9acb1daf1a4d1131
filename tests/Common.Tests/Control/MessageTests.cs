using Hecatonchire.Control.Messages;
using MessagePack;
using Xunit;

namespace Hecatonchire.Tests.Control;

public sealed class MessageTests
{
    private const int RoundTrips = 20_000;

    // 200,000 in all. A failure names its seed: run the one with it.
    private const int FuzzSeeds = 20;
    private const int FuzzPerSeed = 10_000;

    [Fact]
    public void Every_request_survives_the_wire()
    {
        RandomMessages messages = new(seed: 1);
        for (int i = 0; i < RoundTrips; i++)
        {
            ControlRequest request = messages.NextRequest();
            byte[] frame = request.Encode();
            DecodedRequest decoded = RequestDecoder.Decode(frame);
            Assert.Null(decoded.Refusal);
            Assert.Equal(request.GetType(), decoded.Request!.GetType());
            Assert.Equal(frame, decoded.Request.Encode());
        }
    }

    [Fact]
    public void Every_answer_survives_the_wire()
    {
        RandomMessages messages = new(seed: 2);
        for (int i = 0; i < RoundTrips; i++)
        {
            ControlAnswer answer = messages.NextAnswer();
            byte[] frame = answer.Encode();
            ControlAnswer? decoded = AnswerDecoder.Decode(frame);
            Assert.NotNull(decoded);
            Assert.Equal(answer.GetType(), decoded.GetType());
            Assert.Equal(frame, decoded.Encode());
        }
    }

    [Fact]
    public void Malformed_frames_are_judged_without_an_exception()
    {
        int refused = 0;
        int accepted = 0;
        for (int seed = 0; seed < FuzzSeeds; seed++)
        {
            RandomMessages messages = new(seed);
            for (int i = 0; i < FuzzPerSeed; i++)
            {
                byte[] frame = (i & 3) == 0 ? messages.NextNoise() : messages.NextMutant();
                try
                {
                    DecodedRequest request = RequestDecoder.Decode(frame);
                    ControlAnswer? answer = AnswerDecoder.Decode(frame);
                    Assert.False(request.Request is not null && request.Refusal is not null);
                    Assert.True((request.IsDropped && answer is null) || IsOneValue(frame));
                    _ = request.IsDropped && answer is null ? refused++ : accepted++;
                }
                catch (Exception failure) when (failure is not Xunit.Sdk.XunitException)
                {
                    Assert.Fail($"seed {seed}, input {i}, {Convert.ToHexString(frame)}: {failure}");
                }
            }
        }

        // The mutants must reach both sides of the decoder, or this test shows nothing.
        Assert.InRange(refused, FuzzSeeds * FuzzPerSeed / 4, FuzzSeeds * FuzzPerSeed);
        Assert.InRange(accepted, 1000, FuzzSeeds * FuzzPerSeed);
    }

    [Fact]
    public void A_frame_cut_short_anywhere_is_no_message()
    {
        RandomMessages messages = new(seed: 3);
        for (int i = 0; i < 200; i++)
        {
            byte[] frame = messages.NextFrame();
            for (int length = 0; length < frame.Length; length++)
            {
                Assert.True(RequestDecoder.Decode(frame.AsMemory(0, length)).IsDropped);
                Assert.Null(AnswerDecoder.Decode(frame.AsMemory(0, length)));
            }

            Assert.True(RequestDecoder.Decode((byte[])[.. frame, 0xC0]).IsDropped);
        }
    }

    [Fact]
    public void Unknown_fields_are_ignored_and_a_field_given_twice_is_no_message()
    {
        byte[] extended = Map(("v", 1), ("id", 7), ("type", "heartbeat"), ("colour", "red"));
        Assert.Equal(new HeartbeatRequest(7), RequestDecoder.Decode(extended).Request);
        Assert.True(RequestDecoder.Decode(Map(("v", 1), ("id", 7), ("type", "heartbeat"), ("id", 8))).IsDropped);
    }

    [Theory]
    [InlineData("dance", 1, ErrorCode.UnknownType)]
    [InlineData("heartbeat", 2, ErrorCode.Version)]
    [InlineData("heartbeat", 0, ErrorCode.Version)]
    [InlineData("hello", 1, ErrorCode.BadRequest)]
    [InlineData("allocate", 1, ErrorCode.BadRequest)]
    [InlineData("free", 1, ErrorCode.BadRequest)]
    public void What_cannot_be_carried_out_is_refused_with_its_id(string type, int version, string code)
    {
        DecodedRequest decoded = RequestDecoder.Decode(Map(("v", version), ("id", 99), ("type", type)));
        Assert.Null(decoded.Request);
        Assert.Equal(code, decoded.Refusal?.Code);
        Assert.Equal(99UL, decoded.Refusal?.Id);
    }

    [Fact]
    public void The_longest_list_of_slabs_fits_a_frame()
    {
        SlabEntry[] slabs = [.. Enumerable.Repeat(new SlabEntry(ulong.MaxValue, long.MaxValue), ControlProtocol.SlabsPerDemanderMax)];
        byte[] frame = new ListAnswer(ulong.MaxValue, slabs).Encode();
        Assert.Equal(slabs, Assert.IsType<ListAnswer>(AnswerDecoder.Decode(frame)).Slabs);
    }

    /// <summary>What the library itself says of the bytes.</summary>
    private static bool IsOneValue(byte[] frame)
    {
        MessagePackReader reader = new(frame);
        reader.Skip();
        return reader.End;
    }

    private static byte[] Map(params (string Key, object Value)[] fields) =>
        ControlMapTests.Write((ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(fields.Length);
            foreach ((string key, object value) in fields)
            {
                writer.Write(key);
                if (value is string text)
                {
                    writer.Write(text);
                }
                else
                {
                    writer.Write((int)value);
                }
            }
        });
}
