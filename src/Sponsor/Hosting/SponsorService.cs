using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Hosting;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Metrics;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Serving.Rdma;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Rdma;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Hosting;

/// <summary>Starts and stops the two planes in their order: no control message before data can be served, and none after.</summary>
internal sealed partial class SponsorService(
    SponsorOptions options,
    CurveKeyPair keys,
    SlabStore store,
    DataServer data,
    RdmaServer rdma,
    ControlServer control,
    ControlServerOptions controlOptions,
    TrustedKeys trust,
    Enrolment enrolment,
    SponsorWatch watch,
    ServiceManager manager,
    ILogger<SponsorService> logger,
    IHostApplicationLifetime lifetime) : IHostedService
{
    private PosixSignalRegistration? _hangup;
    private string? _noRdma;

    private static readonly TimeSpan s_progressPollTime = TimeSpan.FromMilliseconds(50);

    // Z85 has characters that the default encoder escapes for the sake of HTML.
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public Task StartAsync(CancellationToken cancellationToken)
    {
        store.ServeWith(data, rdma);
        data.Start();
        OfferRdma();
        control.Start();
        if (!options.ExitWithStdin)
        {
            // Of a daemon it asks to read its files again; one without a trust file must not end by it, with all that it has lent.
            _hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
            {
                context.Cancel = true;
                trust.Ask();
            });
        }

        enrolment.Start(control.Port, controlOptions.Instance);
        watch.Start(control.Port);
        if (options.Announce)
        {
            Announce();
        }

        if (options.ExitWithStdin)
        {
            new Thread(StopAtEndOfInput) { Name = "heca-stdin", IsBackground = true }.Start();
        }

        manager.NoteReady($"offers {options.Memory} on {options.Listen} port {control.Port}", AwaitProgress);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        _hangup?.Dispose();
        manager.NoteStopping("what was lent is gone");
        enrolment.Dispose();
        control.Dispose();
        data.Dispose();
        rdma.Dispose();
        store.Dispose();
        watch.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Both planes serve: the data plane has run something between two requests, the control plane has looked for messages.</summary>
    private void AwaitProgress()
    {
        long rounds = control.Rounds;
        data.RunBetweenRequests(static () => { });
        while (control.Rounds == rounds)
        {
            Thread.Sleep(s_progressPollTime);
        }
    }

    private void OfferRdma()
    {
        _noRdma = options.Transport == TransportPreference.Tcp ? "--transport tcp" : RdmaHost.PinLimit(options.Memory.Bytes) ?? rdma.Start();
        if (_noRdma is not null && options.Transport == TransportPreference.Rdma)
        {
            data.Dispose();
            throw new HostCannotException($"no RDMA here: {_noRdma}; or start with --transport auto");
        }

        if (_noRdma is not null && options.Transport == TransportPreference.Auto)
        {
            LogTcpOnly(logger, _noRdma);
        }
    }

    private void Announce()
    {
        Dictionary<string, object> facts = new()
        {
            ["control_port"] = control.Port,
            ["data_port"] = data.Port,
            ["public_key"] = keys.PublicZ85,
            ["transports"] = _noRdma is null ? new[] { "tcp", "rdma" } : ["tcp"],
        };
        if (_noRdma is null)
        {
            facts["rdma_port"] = rdma.Port;
        }
        else
        {
            facts["no_rdma"] = _noRdma;
        }

        if (watch.EndPoint is { } endPoint)
        {
            facts["metrics_port"] = endPoint.Port;
        }

        Console.Out.WriteLine(JsonSerializer.Serialize(facts, Readable));
        Console.Out.Flush();
    }

    /// <summary>The end of standard input is the end of who started this sponsor, however that ended.</summary>
    private void StopAtEndOfInput()
    {
        try
        {
            using Stream input = Console.OpenStandardInput();
            Span<byte> ignored = stackalloc byte[256];
            while (input.Read(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
        }

        lifetime.StopApplication();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Pages travel over TCP only: {Why}")]
    private static partial void LogTcpOnly(ILogger logger, string why);
}
