using System.Text.Encodings.Web;
using System.Text.Json;
using Hecatonchire.Control.ZeroMq;
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
    Enrolment enrolment,
    SponsorWatch watch,
    ILogger<SponsorService> logger,
    IHostApplicationLifetime lifetime) : IHostedService
{
    private string? _noRdma;

    // Z85 has characters that the default encoder escapes for the sake of HTML.
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public Task StartAsync(CancellationToken cancellationToken)
    {
        store.ServeWith(data, rdma);
        data.Start();
        OfferRdma();
        control.Start();
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

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        enrolment.Dispose();
        control.Dispose();
        data.Dispose();
        rdma.Dispose();
        store.Dispose();
        watch.Dispose();
        return Task.CompletedTask;
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
