using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Pager;
using Hecatonchire.Pressure;
using Hecatonchire.Units;

namespace Hecatonchire.Capture;

/// <summary>A session with a real program, as what captures its memory needs it.</summary>
internal sealed class CapturedSession(
    int process, PagerSession session, KernelProgramMemory program, CommandRing ring, IReadOnlyList<AddressRange> keptOut, LocalBudget local, PressureMonitor? pressure) : ICapturedProgram, IDisposable
{
    /// <summary>A budget that is a share of the data says nothing of a program that has hardly any.</summary>
    private const long BoundPagesMin = (32L << 20) / PageSize.Bytes;

    private readonly ProcessMemory _memory = new(process);

    public long PagesInHand => session.Core.InProgramBytes >> PageSize.Shift;

    public long PlaceChanges => session.Core.PlaceChanges;

    public long SharedRounds => session.Core.Counters.SharedRounds;

    public (long Mapped, long Anonymous) ReadPages() => _memory.ReadPages();

    public void ReadMappings(List<Mapping> mappings) => _memory.ReadMappings(mappings);

    public void ReadKeptOut(List<AddressRange> ranges)
    {
        ranges.AddRange(keptOut);
        ring.ReadStacks(ranges);
    }

    public long BoundPages(long anonymous) => Math.Min(LocalPages(anonymous), GroupPages(anonymous));

    public bool IsStrict => pressure is { AllowedNow: not long.MaxValue };

    private long LocalPages(long anonymous)
    {
        long bound = local.Resolve(anonymous << PageSize.Shift) >> PageSize.Shift;
        return local.IsShare ? Math.Max(bound, BoundPagesMin) : bound;
    }

    /// <summary>What the cgroup leaves beyond what is there now; the pager counts what it has in hand as something that can go.</summary>
    private long GroupPages(long anonymous)
    {
        long left = pressure?.AllowedNow ?? long.MaxValue;
        return left == long.MaxValue ? long.MaxValue : Math.Max(0, (left >> PageSize.Shift) + anonymous - PagesInHand);
    }

    public int FindRegistered(ulong address) => program.FindRegistered(address, pages: 1);

    public int Capture(IReadOnlyList<AddressRange> ranges, long placeChanges) =>
        session.Execute(new PagerRequest(PagerRequestKind.Capture) { Ranges = ranges, PlaceChanges = placeChanges });

    public void Measure(long outsidePages, bool isSponsorFull) =>
        session.Execute(new PagerRequest(PagerRequestKind.Measure) { OutsidePages = outsidePages, IsSponsorFull = isSponsorFull });

    public bool EnsureFreeSlots() => session.EnsureFreeSlots();

    public void Dispose() => _memory.Dispose();
}
