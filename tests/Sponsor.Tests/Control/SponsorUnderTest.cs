using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Slabs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hecatonchire.Tests.Control;

/// <summary>Both planes of a sponsor, in this process, on loopback, as the daemon composes them; 256 MiB offered.</summary>
internal sealed class SponsorUnderTest : IDisposable
{
    public const long MiB = 1L << 20;

    /// <summary>Short, so that the sweep comes often; with a <see cref="ManualTime"/> nobody is gone before the test says so.</summary>
    public static readonly TimeSpan GoneAfter = TimeSpan.FromMilliseconds(200);

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly ConcurrentQueue<string> _log = new();

    public SponsorUnderTest(CurveKeyPair? keys = null, int port = 0, TimeProvider? time = null, int sessionsMax = 4096, string? trust = null)
    {
        Capability.RequireZmq();
        Keys = keys ?? CurveKeyPair.Create();
        SlabStoreOptions slabs = new() { OfferedBytes = 256 * MiB, GoneAfter = time is null ? Long : GoneAfter };
        time ??= TimeProvider.System;
        ControlServerOptions options = new()
        {
            Address = "127.0.0.1",
            Port = port,
            Keys = Keys,
            AdminKey = AdminKey,
            SponsorId = SponsorKeys.SponsorId(Keys),
            GoneAfter = slabs.GoneAfter,
            SessionsMax = sessionsMax,
        };
        Trust = trust is null ? null : new TrustedKeys(trust, mustExist: false, time, new Recorder<TrustedKeys>(_log));
        Store = new SlabStore(slabs, time);
        Data = new DataServer(
            new IPEndPoint(IPAddress.Loopback, 0), options.SponsorId, Store, new DataServerOptions(), NullLogger<DataServer>.Instance);
        Store.ServeWith(Data);
        Requests = new RequestHandler(
            options, slabs, Store, Data, Data.Counters, time, NullLogger<RequestHandler>.Instance, Trust);
        Control = new ControlServer(options, Store, Requests, time, new Recorder<ControlServer>(_log), trust: Trust);
        try
        {
            Data.Start();
            Control.Start();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public CurveKeyPair Keys { get; }

    public byte[] AdminKey { get; } = RandomNumberGenerator.GetBytes(ControlProtocol.AdminKeyBytes);

    public TrustedKeys? Trust { get; }

    public SlabStore Store { get; }

    public DataServer Data { get; }

    public RequestHandler Requests { get; }

    public ControlServer Control { get; }

    public IReadOnlyCollection<string> Log => _log;

    public SponsorClient Connect(Guid? demander = null, SponsorClientOptions? options = null) => SponsorClient.Connect(
        "127.0.0.1", Control.Port, Keys.PublicZ85, demander ?? Guid.NewGuid(), "test", options ?? new SponsorClientOptions { RequestTimeout = TimeSpan.FromSeconds(20) });

    public void Dispose()
    {
        Control.Dispose();
        Data.Dispose();
        Store.Dispose();
    }

    private sealed class Recorder<T>(ConcurrentQueue<string> log) : ILogger<T>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            log.Enqueue($"{logLevel}: {formatter(state, exception)}");
    }
}
