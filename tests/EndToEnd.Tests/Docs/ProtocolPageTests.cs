using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Handover;
using Hecatonchire.Membership;
using Hecatonchire.Tests.Harness;
using Hecatonchire.Transport.Rdma;
using Hecatonchire.Transport.Tcp;
using MessagePack;
using Xunit;

namespace Hecatonchire.Tests.Docs;

/// <summary>docs/protocol.md leaves out nothing that is on the wire; that what it says is right is shown by tests/interop/client.py, which was written from it.</summary>
public sealed partial class ProtocolPageTests
{
    private static readonly string s_page = File.ReadAllText(Path.Combine(Programs.Root, "docs/protocol.md"));

    private static readonly ControlRequest[] s_requests =
    [
        new HelloRequest(1, Guid.Empty, ""), new TokenRequest(1), new AllocateRequest(1, 1), new FreeRequest(1, 1), new KeyRequest(1, 1, 1), new ResetRequest(1), new ListRequest(1),
        new StatsRequest(1), new OfferRequest(1, 1, []), new HeartbeatRequest(1),
    ];

    private static readonly ControlAnswer[] s_answers =
    [
        new ErrorAnswer(1, "", ""), new TokenAnswer(1, [], 1, 1), new AllocateAnswer(1, 1, 1), new FreeAnswer(1), new KeyAnswer(1, 1, 1), new ResetAnswer(1),
        new ListAnswer(1, [new SlabEntry(1, 1)]), new OfferAnswer(1, 1, 1), new HeartbeatAnswer(1),
        new HelloAnswer(1)
        {
            Sponsor = Guid.Empty, Instance = Guid.Empty, PageSize = 1, DataPort = 1, OfferedBytes = 1, FreeBytes = 1, SlabBytesMin = 1, SlabBytesMax = 1, GoneAfterMs = 1, Transports = [],
            RdmaPort = 1,
        },
        new StatsAnswer(1)
        {
            OfferedBytes = 1, LentBytes = 1, FreeBytes = 1, Demanders = 1, DataConnections = 1, PagesRead = 1, PagesWritten = 1, RequestsRefused = 1, ReclaimBytes = 1,
        },
    ];

    [Fact]
    public void Every_message_of_the_control_plane_has_its_fields_there()
    {
        Assert.Equal(Kinds<ControlRequest>(), s_requests.Select(request => request.GetType()).ToHashSet());
        Assert.Equal(Kinds<ControlAnswer>(), s_answers.Select(answer => answer.GetType()).ToHashSet());
        foreach (ControlRequest request in s_requests)
        {
            string row = Row($"| `{request.Type}` |");
            Assert.All(KeysOf(request.Encode()).Except(["v", "type", "id"]), key => Assert.Contains($"`{key}`", row, StringComparison.Ordinal));
        }

        Assert.All(s_answers.SelectMany(answer => KeysOf(answer.Encode())), key => Assert.Contains($"`{key}`", s_page, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_error_and_status_has_a_row()
    {
        string[] codes = [.. typeof(ErrorCode).GetFields().Select(field => (string)field.GetRawConstantValue()!)];
        Assert.True(codes.Length > 10);
        Assert.All(codes, code => Row($"| `{code}` |"));
        Assert.All(Enum.GetValues<WireStatus>(), status => Row($"| {(byte)status} | {(status == WireStatus.Ok ? "ok" : "")}"));
    }

    [Fact]
    public void Every_member_in_etcd_has_a_row()
    {
        var sponsor = new SponsorRecord
        {
            Id = Guid.NewGuid(),
            Instance = Guid.NewGuid(),
            Addresses = ["10.0.0.2"],
            Port = 1,
            PublicKey = "",
            OfferedBytes = 1,
            LentBytes = 1,
            Load = 1,
            Labels = Labels.None,
        };
        var demander = new DemanderRecord { Owner = Guid.NewGuid(), Name = "x", Lease = TimeSpan.FromSeconds(1) };
        foreach (byte[] record in (byte[][])[sponsor.Encode(), demander.Encode()])
        {
            using var json = JsonDocument.Parse(record);
            Assert.Equal(1, json.RootElement.GetProperty("v").GetInt32());
            Assert.All(json.RootElement.EnumerateObject().Where(member => member.Name != "v"), member => Assert.Matches($@"(?m)^\|[^|]*`{member.Name}`[^|]*\|", s_page));
        }
    }

    [Fact]
    public void Sizes_versions_and_places_are_those_of_the_code()
    {
        Assert.Contains($"data plane over TCP](#data-plane-over-tcp) | fixed frames; port 7401 | {Frames.Version} |", s_page, StringComparison.Ordinal);
        Assert.Contains($"MessagePack; port 7400 | {ControlProtocol.Version} |", s_page, StringComparison.Ordinal);
        Assert.Contains($"Unix socket and shared memory | {HandoverAbi.Version} |", s_page, StringComparison.Ordinal);
        Assert.Contains($"the private data of the connection request, {RdmaHello.Bytes} bytes; WELCOME is that of the acceptance, or of the rejection, {RdmaWelcome.Bytes} bytes", s_page, StringComparison.Ordinal);
        Assert.Contains($"one message of {Marshal.SizeOf<HandoverMessage>()} bytes", s_page, StringComparison.Ordinal);
        Assert.All((uint[])[Frames.OpenMagic, Frames.RequestMagic, Frames.ResponseMagic, HandoverAbi.Magic], magic => Assert.Contains($"`0x{magic:x8}`", s_page, StringComparison.OrdinalIgnoreCase));

        // Each word of the ring by its name and offset, on one row.
        foreach (FieldInfo field in typeof(RingHeader).GetFields(BindingFlags.Public | BindingFlags.Instance))
        {
            string name = Capital().Replace(field.Name, match => (match.Index > 0 ? "_" : "") + match.Value.ToLowerInvariant());
            int offset = field.GetCustomAttribute<FieldOffsetAttribute>()!.Value;
            Assert.Matches($@"(?m)^\| (\d+, )?{offset}(, \d+)? \|.*`{name}`", s_page);
        }

        Assert.All(
            (int[])[RingHeader.CommandsOffset, RingHeader.CompletionsOffset, RingHeader.HashKeyOffset, RingHeader.StagedHashesOffset, RingHeader.StacksOffset],
            offset => Row($"| {offset} |"));
    }

    private static HashSet<Type> Kinds<T>() => [.. typeof(T).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(T)) && !type.IsAbstract)];

    /// <summary>Fails where no line begins so.</summary>
    private static string Row(string start) =>
        s_page.Split('\n').FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal)) ?? throw new Xunit.Sdk.XunitException($"docs/protocol.md has no row '{start}'");

    private static List<string> KeysOf(byte[] frame)
    {
        List<string> keys = [];
        MessagePackReader reader = new(frame);
        for (int left = reader.ReadMapHeader(); left > 0; left--)
        {
            keys.Add(reader.ReadString()!);
            reader.Skip();
        }

        return keys;
    }

    [GeneratedRegex("[A-Z]")]
    private static partial Regex Capital();
}
