using System.Net;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Hosting;
using Hecatonchire.Interop;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Metrics;
using Hecatonchire.Sponsor.Pressure;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Serving.Rdma;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Hecatonchire.Sponsor.Hosting;

/// <summary>The composition root: which parts a sponsor is made of.</summary>
internal static class SponsorHost
{
    /// <summary>Both planes stop in milliseconds; this is for a host that swaps.</summary>
    private static readonly TimeSpan StopTimeMax = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Runs until SIGTERM, SIGINT or, where asked, the end of standard input; returns 0. What keeps it from starting is
    /// thrown: <see cref="ZmqUnavailableException"/>, <see cref="IOException"/>.
    /// </summary>
    public static int Run(SponsorOptions options)
    {
        if (options.ExitWithStdin)
        {
            // A ^C is meant for who started this sponsor, and must not take the memory away before its user has gone.
            _ = Libc.SetProcessGroup(0, 0);
        }

        using ServiceManager manager = new();
        ZmqContext.RequireLibrary();
        CurveKeyPair keys = SponsorKeys.LoadOrCreate(options.Keys);
        using IHost host = Build(options, keys, SponsorKeys.LoadOrCreateAdmin(options.Keys), manager);
        host.Run();
        return SponsorCommand.ExitDone;
    }

    private static IHost Build(SponsorOptions options, CurveKeyPair keys, byte[] adminKey, ServiceManager manager)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });

        // The host logs the exception of a failed start with its stack; the user gets the one line of it instead.
        var events = new EventRing(TimeProvider.System);
        DaemonLogging.Configure(builder.Logging, options.LogLevel, options.LogFormat, options.Metrics is null ? null : events);
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None).AddFilter<ConsoleLoggerProvider>("Microsoft.Extensions.Hosting", LogLevel.None);

        IServiceCollection services = builder.Services;
        services.AddSingleton(events);
        services.Configure<HostOptions>(host => host.ShutdownTimeout = StopTimeMax);
        services.AddSingleton(options);
        services.AddSingleton(keys);
        services.AddSingleton(manager);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(new SlabStoreOptions { OfferedBytes = options.Memory.Bytes, GoneAfter = options.GoneAfter });
        services.AddSingleton(provider => new ControlServerOptions
        {
            Address = options.Listen.ToString(),
            Port = options.Port,
            Keys = keys,
            AdminKey = adminKey,
            SponsorId = SponsorKeys.SponsorId(keys),
            GoneAfter = options.GoneAfter,
            Labels = options.Labels,
            Cluster = () => provider.GetRequiredService<Enrolment>().Cluster,
        });
        services.AddSingleton(provider => new TrustedKeys(
            options.Trust ?? Path.Combine(options.Keys, TrustFile.Name), options.Trust is not null, TimeProvider.System, provider.GetRequiredService<ILogger<TrustedKeys>>()));
        services.AddSingleton<SlabStore>();
        services.AddSingleton<Enrolment>();
        services.AddSingleton(new PressureReliefOptions { StallShareMax = options.PressureMaxPercent / 100.0 });
        services.AddSingleton(StallMeter.OfThisHost(TimeProvider.System));
        services.AddSingleton<PressureRelief>();
        services.AddSingleton<ISlabDirectory>(provider => provider.GetRequiredService<SlabStore>());
        services.AddSingleton(provider => new DataServer(
            new IPEndPoint(options.Listen, options.DataPort),
            SponsorKeys.SponsorId(keys),
            provider.GetRequiredService<ISlabDirectory>(),
            new DataServerOptions { IsShared = provider.GetRequiredService<TrustedKeys>().IsInForce },
            provider.GetRequiredService<ILogger<DataServer>>()));
        services.AddSingleton<IServingLoop>(provider => provider.GetRequiredService<DataServer>());
        services.AddSingleton(provider => provider.GetRequiredService<DataServer>().Counters);
        services.AddSingleton(provider => new RdmaServer(
            new IPEndPoint(options.Listen, options.DataPort),
            SponsorKeys.SponsorId(keys),
            provider.GetRequiredService<ISlabDirectory>(),
            new DataServerOptions(),
            provider.GetRequiredService<DataServerCounters>(),
            provider.GetRequiredService<ILogger<RdmaServer>>()));
        services.AddSingleton<RequestHandler>();
        services.AddSingleton<ControlServer>();
        services.AddSingleton<SponsorInstruments>();
        services.AddSingleton<SponsorWatch>();
        services.AddHostedService<SponsorService>();
        return builder.Build();
    }
}
