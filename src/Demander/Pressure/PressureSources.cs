using System.Globalization;
using System.Text;
using Hecatonchire.Interop;

namespace Hecatonchire.Pressure;

/// <summary>
/// The descriptors through which the kernel says that memory gets scarce, ready for one poll. What a host does not have
/// or does not permit is left out: a slow refresh stands in for all of them.
/// </summary>
internal sealed unsafe class PressureSources : IDisposable
{
    /// <summary>50 ms of stall in 1 s; where windows under 2 s are reserved to CAP_SYS_RESOURCE (6.5 and later), 100 ms in 2 s.</summary>
    private static readonly byte[][] PsiTriggers = ["some 50000 1000000\0"u8.ToArray(), "some 100000 2000000\0"u8.ToArray()];

    /// <summary>Parts of the limit, in percent, at which v1 reports a crossing; the edge of the margin is one more.</summary>
    private static readonly int[] ThresholdPercents = [80, 90, 95];

    private readonly List<Source> _sources = [];
    private PollDescriptor[] _descriptors = [];

    private enum Kind
    {
        Stop,

        /// <summary>An eventfd that v1 signals.</summary>
        Counter,

        /// <summary>memory.events: ready with POLLPRI | POLLERR until it is read again.</summary>
        Events,

        /// <summary>A PSI trigger: ready with POLLPRI once per window; the poll itself rearms it.</summary>
        Psi,

        HostPsi,
    }

    /// <summary>Names of what is armed, for logs and tests: v1.thresholds, v1.oom, v1.pressure_level, v2.events, psi, host_psi.</summary>
    public IReadOnlyList<string> Armed => _sources.Where(s => s.Kind != Kind.Stop).Select(s => s.Name).ToArray();

    public void AddStop(int descriptor) => Add(new Source("stop", Kind.Stop, descriptor, Libc.POLLIN, null));

    public void AddHost(string procRoot) => AddPsi($"{procRoot}/pressure/memory", Kind.HostPsi, "host_psi");

    /// <summary>Arms every limited level; a second call drops what the first armed (the limits have changed).</summary>
    public void ArmGroups(CgroupMemory memory)
    {
        foreach (Source source in _sources.Where(s => s.Kind is not (Kind.Stop or Kind.HostPsi)))
        {
            source.Close();
        }

        _sources.RemoveAll(s => s.Kind is not (Kind.Stop or Kind.HostPsi));
        foreach (CgroupLevel level in memory.Levels)
        {
            if (!level.IsLimited)
            {
                continue;
            }

            if (level.Version == 1)
            {
                ArmV1(level);
            }
            else
            {
                AddFile($"{level.Directory}/memory.events");
                AddPsi($"{level.Directory}/memory.pressure", Kind.Psi, "psi");
            }
        }

        Rebuild();
    }

    /// <summary>Waits; says what has happened. A time-out (-1: none) gives no flag.</summary>
    public PressureSignals Wait(int timeoutMs)
    {
        int ready;
        // The array outlives the call, and poll writes within its count.
        fixed (PollDescriptor* start = _descriptors)
        {
            ready = Libc.Poll(start, (nuint)_descriptors.Length, timeoutMs);
        }

        PressureSignals signals = PressureSignals.None;
        for (int i = 0; ready > 0 && i < _descriptors.Length; i++)
        {
            short returned = _descriptors[i].Returned;
            if (returned != 0)
            {
                signals |= Take(_sources[i], returned, ref _descriptors[i]);
            }
        }

        return signals;
    }

    public void Dispose()
    {
        foreach (Source source in _sources)
        {
            source.Close();
        }

        _sources.Clear();
    }

    /// <summary>Acknowledges one ready source. One whose group is gone would be ready for ever: poll skips descriptor -1.</summary>
    private static PressureSignals Take(Source source, short returned, ref PollDescriptor descriptor)
    {
        switch (source.Kind)
        {
            case Kind.Stop:
                return PressureSignals.Stop;
            case Kind.Counter:
                ulong count;
                Libc.Read(source.Descriptor, &count, sizeof(ulong));
                return PressureSignals.Group;
            case Kind.Events:
                Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
                if (source.File!.Read(text) <= 0)
                {
                    descriptor.Descriptor = -1;
                }

                return PressureSignals.Group;
            default:
                if ((returned & Libc.POLLERR) != 0)
                {
                    descriptor.Descriptor = -1;
                    return PressureSignals.None;
                }

                return source.Kind == Kind.HostPsi ? PressureSignals.Host : PressureSignals.Group;
        }
    }

    /// <summary>v1: an eventfd registered by a line "EVENTFD FILE ARGUMENT" in cgroup.event_control. Closing the eventfd ends it.</summary>
    private void ArmV1(CgroupLevel level)
    {
        using KernelFile? control = KernelFile.TryOpen($"{level.Directory}/cgroup.event_control", Libc.O_WRONLY);
        if (control is null)
        {
            return;
        }

        var thresholds = ThresholdPercents.Select(p => level.BoundBytes / 100 * p).Append(level.BoundBytes - level.MarginBytes);
        AddCounter("v1.thresholds", control, level.UsageDescriptor, thresholds.Select(t => t.ToString(CultureInfo.InvariantCulture)));
        using KernelFile? oom = KernelFile.TryOpen($"{level.Directory}/memory.oom_control");
        AddCounter("v1.oom", control, oom?.Descriptor ?? -1, [""]);

        // Not "low": that one fires for page cache alone.
        using KernelFile? pressure = KernelFile.TryOpen($"{level.Directory}/memory.pressure_level");
        AddCounter("v1.pressure_level", control, pressure?.Descriptor ?? -1, ["medium"]);
    }

    private void AddCounter(string name, KernelFile control, int watched, IEnumerable<string> arguments)
    {
        if (watched < 0)
        {
            return;
        }

        int counter = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        if (counter < 0)
        {
            return;
        }

        bool armed = false;
        foreach (string argument in arguments)
        {
            armed |= control.TryWrite(Encoding.ASCII.GetBytes($"{counter} {watched} {argument}"));
        }

        if (armed)
        {
            Add(new Source(name, Kind.Counter, counter, Libc.POLLIN, null));
        }
        else
        {
            _ = Libc.Close(counter);
        }
    }

    private void AddFile(string path)
    {
        if (KernelFile.TryOpen(path) is { } file)
        {
            // The first read sets the point from which on changes are reported.
            Span<byte> text = stackalloc byte[KernelFile.TextBytesMax];
            file.Read(text);
            Add(new Source("v2.events", Kind.Events, file.Descriptor, Libc.POLLPRI, file));
        }
    }

    private void AddPsi(string path, Kind kind, string name)
    {
        foreach (byte[] trigger in PsiTriggers)
        {
            if (KernelFile.TryOpen(path, Libc.O_RDWR | Libc.O_NONBLOCK) is not { } file)
            {
                return;
            }

            if (file.TryWrite(trigger))
            {
                Add(new Source(name, kind, file.Descriptor, Libc.POLLPRI, file));
                return;
            }

            file.Dispose();
        }
    }

    private void Add(Source source)
    {
        _sources.Add(source);
        Rebuild();
    }

    private void Rebuild() => _descriptors =
        [.. _sources.Select(s => new PollDescriptor { Descriptor = s.Descriptor, Events = s.Events })];

    private sealed record Source(string Name, Kind Kind, int Descriptor, short Events, KernelFile? File)
    {
        public void Close()
        {
            if (File is not null)
            {
                File.Dispose();
            }
            else if (Kind == Kind.Counter)
            {
                _ = Libc.Close(Descriptor);
            }
        }
    }
}

/// <summary>What one wait of the pressure thread brought.</summary>
[Flags]
internal enum PressureSignals
{
    None = 0,
    Stop = 1,
    Group = 2,
    Host = 4,
}
