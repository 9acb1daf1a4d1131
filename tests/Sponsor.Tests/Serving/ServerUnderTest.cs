using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Transport.Tcp;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>A running server over a <see cref="TestSlabDirectory"/>, with what it logged.</summary>
internal sealed class ServerUnderTest : IDisposable
{
    public static readonly Guid SponsorId = new("00112233-4455-6677-8899-aabbccddeeff");

    private readonly ConcurrentQueue<string> _log = new();

    public ServerUnderTest(DataServerOptions? options = null)
    {
        Server = new DataServer(
            new IPEndPoint(IPAddress.Loopback, 0), SponsorId, Directory, options ?? new DataServerOptions(), new Recorder(_log));
        Demander = Directory.NewDemander();
        Slab = Directory.AddSlab(Demander, 2048);
        Server.Start();
    }

    public TestSlabDirectory Directory { get; } = new();

    public DataServer Server { get; }

    public int Demander { get; }

    public ulong Slab { get; }

    public IPEndPoint Address => new(IPAddress.Loopback, Server.Port);

    public IReadOnlyCollection<string> Log => _log;

    public TcpDataConnection Connect(int? demander = null, IPEndPoint? address = null) =>
        TcpDataConnection.Connect(
            address ?? Address,
            TestSlabDirectory.DemanderOf(demander ?? Demander),
            Directory.NewToken(demander ?? Demander),
            TimeSpan.FromSeconds(10));

    /// <summary>Waits until the counters show what is expected.</summary>
    public void WaitFor(Func<DataServerCounters, bool> state, string what)
    {
        long started = Stopwatch.GetTimestamp();
        while (!state(Server.Counters))
        {
            Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, $"{what}: did not happen in time");
            Thread.Yield();
        }
    }

    public void Dispose()
    {
        Server.Dispose();
        Directory.Dispose();
    }

    private sealed class Recorder(ConcurrentQueue<string> log) : ILogger<DataServer>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            log.Enqueue($"{logLevel}: {formatter(state, exception)}");
    }
}
