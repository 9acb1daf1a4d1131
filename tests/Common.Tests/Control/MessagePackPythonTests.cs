using Hecatonchire.Control.Messages;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>Debian's python3-msgpack reads what this project writes, and the other way round.</summary>
public sealed class MessagePackPythonTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    // Reads values from standard input, one after the other, and writes each again in msgpack's own encoding.
    private const string Echo =
        """
        import sys, msgpack
        unpacker = msgpack.Unpacker(sys.stdin.buffer, raw=False, strict_map_key=False)
        for value in unpacker:
            sys.stdout.buffer.write(msgpack.packb(value, use_bin_type=True))
        """;

    [Fact]
    public void Python_reads_every_message_and_writes_it_with_the_same_bytes()
    {
        RandomMessages messages = new(seed: 4);
        byte[] sent = [.. Enumerable.Range(0, 2000).SelectMany(_ => messages.NextFrame())];
        Assert.Equal(sent, PythonScript.Run(["-c", Echo], sent, Deadline));
    }

    [Fact]
    public void What_python_writes_is_read()
    {
        const string Writer =
            """
            import sys, msgpack
            sys.stdout.buffer.write(msgpack.packb({
                "later": [1.5, msgpack.ExtType(5, b"x" * 17), {"a": [None, -70000]}],
                "v": 1, "type": "hello", "id": 2**63, "demander": bytes(range(16)), "name": "snake"}))
            """;
        byte[] frame = PythonScript.Run(["-c", Writer], [], Deadline);
        HelloRequest hello = Assert.IsType<HelloRequest>(RequestDecoder.Decode(frame).Request);
        Assert.Equal(1UL << 63, hello.Id);
        Assert.Equal(new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"), hello.Demander);
        Assert.Equal("snake", hello.Name);
    }
}
