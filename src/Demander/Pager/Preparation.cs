using System.Reflection;
using System.Runtime.CompilerServices;
using Hecatonchire.Capture;
using Hecatonchire.Install;
using Hecatonchire.Pages;
using Hecatonchire.Placement;

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
        typeof(PageHelper), typeof(PageUnsharing), typeof(Segment), typeof(SlotMap),
    ];

    /// <summary>Goes on beside the start of the program, which takes longer.</summary>
    public static void Begin() => new Thread(Run) { Name = "heca-prepare", IsBackground = true }.Start();

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
