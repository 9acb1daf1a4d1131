using System.Reflection;
using System.Runtime.CompilerServices;
using Hecatonchire.Capture;
using Hecatonchire.Control;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Pressure;

namespace Hecatonchire.Pager;

/// <summary>
/// Has the runtime compile what a program will wait for before one does. Without it the first capture takes 100 ms and more, in which a
/// program can fill some hundred MiB above its bound; and so do the first faults.
/// </summary>
internal static class Preparation
{
    private static readonly Type[] s_types =
    [
        typeof(MemoryCapture), typeof(CapturedSession), typeof(ProcessMemory), typeof(Mapping), typeof(CaptureRules), typeof(PagerCore),
        typeof(KernelProgramMemory), typeof(PagerThread), typeof(PagerRequest), typeof(PagerMember), typeof(PagerFamily), typeof(PagerSession), typeof(ConnectionShare),
        typeof(PageHelper), typeof(PageUnsharing), typeof(Segment), typeof(SlotMap), typeof(PressureMonitor), typeof(CgroupMemory), typeof(CgroupLevel),
        typeof(SponsorClient), typeof(HandoverServer),
    ];

    private static readonly Lazy<Thread> s_thread = new(Start);

    /// <summary>Goes on beside the start of the program, which takes longer.</summary>
    public static void Begin() => _ = s_thread.Value;

    /// <summary>Returns when all is compiled.</summary>
    public static void Wait() => s_thread.Value.Join();

    private static Thread Start()
    {
        var thread = new Thread(Run) { Name = "heca-prepare", IsBackground = true };
        thread.Start();
        return thread;
    }

    private static void Run()
    {
        const BindingFlags Own = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        foreach (MethodBase method in s_types.SelectMany(type => type.GetMethods(Own).Cast<MethodBase>().Concat(type.GetConstructors(Own))))
        {
            if (!method.IsAbstract && !method.ContainsGenericParameters)
            {
                RuntimeHelpers.PrepareMethod(method.MethodHandle);
            }
        }
    }
}
