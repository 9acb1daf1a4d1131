using System.Net.Sockets;
using System.Text;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Status;
using Hecatonchire.Tests.Cli;
using Xunit;

namespace Hecatonchire.Tests.Status;

/// <summary>What is asked at a pager's segment socket, and what it makes of it.</summary>
[Collection(ProcessSignals.Name)]
public sealed class SegmentServerTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;
    private readonly ListedPager _pager = new();

    public SegmentServerTests() => Environment.SetEnvironmentVariable(StatusDirectory.Environment, _directory);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(StatusDirectory.Environment, null);
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Segments_are_listed_and_changed_and_nothing_is_left_of_the_socket()
    {
        using (SegmentServer server = Start())
        {
            (string socket, SegmentReport segment) = Assert.Single(SegmentDirectory.List(out _));
            Assert.Equal((ListedPager.Id, 77, "sum", 4L << 20), (segment.Guid, segment.Program, segment.Name, segment.Bytes));
            Assert.Null(SegmentDirectory.Resize(socket, segment, 8 << 20, SegmentChange.Grow));
            Assert.Null(SegmentDirectory.Resize(socket, segment, 1 << 20, SegmentChange.Drop));
            Assert.Equal("not that one", SegmentDirectory.Resize(socket, segment, 1 << 20, SegmentChange.Shrink));
            Assert.Equal([(ListedPager.Id, 8L << 20, SegmentChange.Grow), (ListedPager.Id, 1L << 20, SegmentChange.Drop), (ListedPager.Id, 1L << 20, SegmentChange.Shrink)], _pager.Asked);
        }

        Assert.Empty(SegmentDirectory.List(out _));
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Theory]
    [InlineData("", "that is no question")]
    [InlineData("[1]", "that is no question")]
    [InlineData("{\"resize\": 5}", "that is no question")]
    [InlineData("{\"resize\": {\"id\": \"00\"}}", "that is no question")]
    [InlineData("{\"resize\": {\"id\": \"00\", \"bytes\": 4096, \"change\": \"drop\"}}", "32 hexadecimal digits")]
    [InlineData("{\"resize\": {\"id\": \"00000000000000000000000000000001\", \"bytes\": 4096, \"change\": \"vanish\"}}", "that is no question")]
    public void What_is_no_question_is_answered_with_a_line_and_changes_nothing(string question, string expected)
    {
        using SegmentServer server = Start();
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(Directory.GetFiles(_directory).Single()));
        _ = socket.Send(Encoding.UTF8.GetBytes(question));
        socket.Shutdown(SocketShutdown.Send);
        byte[] answer = new byte[4096];
        Assert.Contains(expected, Encoding.UTF8.GetString(answer, 0, socket.Receive(answer)), StringComparison.Ordinal);
        Assert.Empty(_pager.Asked);
        _ = Assert.Single(SegmentDirectory.List(out _));
    }

    [Fact]
    public void Who_leaves_before_the_answer_is_not_missed()
    {
        using SegmentServer server = Start();
        string path = Directory.GetFiles(_directory).Single();
        Parallel.For(0, 16, _ =>
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            socket.LingerState = new LingerOption(true, 0);
        });
        _ = Assert.Single(SegmentDirectory.List(out _));
    }

    private SegmentServer Start()
    {
        SegmentServer? server = SegmentServer.TryStart(_pager, out string problem);
        Assert.True(server is not null, problem);
        return server;
    }

    private sealed class ListedPager : IPagerHost
    {
        public static Guid Id { get; } = Guid.NewGuid();

        public List<(Guid Id, long Bytes, SegmentChange Change)> Asked { get; } = [];

        public string SocketPath => "";

        public string? Failure => null;

        public IReadOnlyList<int> Programs => [];

        public bool IsServing => true;

        public IReadOnlyList<SegmentReport> Segments() =>
        [
            new()
            {
                Id = Id.ToString("N"),
                Program = 77,
                Name = "sum",
                Address = 0x7000_0000_0000,
                Bytes = 4 << 20,
                ReserveBytes = 64L << 30,
                ResidentBytes = 1 << 20,
                RemoteBytes = 2 << 20,
                LostBytes = 0,
                IsCaptured = false,
            },
        ];

        public string? ResizeSegment(Guid id, long bytes, SegmentChange change)
        {
            Asked.Add((id, bytes, change));
            return change == SegmentChange.Shrink ? "not that one" : null;
        }

        public PagerSnapshot Snapshot() => default;

        public void CopyLatencies(LatencyHistogram target)
        {
        }

        public void Dispose()
        {
        }
    }
}
