using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Xunit;

namespace Hecatonchire.Tests.Handover;

/// <summary>The numbers of native/app/handover.h; its static assertions have the same ones.</summary>
public unsafe class HandoverAbiTests
{
    [Fact]
    public void The_structures_have_the_sizes_of_the_header()
    {
        Assert.Equal(192, sizeof(HandoverMessage));
        Assert.Equal(40, sizeof(EvictorCommand));
        Assert.Equal(16, sizeof(EvictorCompletion));
        Assert.Equal(512, sizeof(RingHeader));
        Assert.Equal(512 + (40 * 512), RingHeader.CompletionsOffset);
        Assert.Equal(512 + (56 * 512), RingHeader.HashKeyOffset);
        Assert.Equal(512 + (56 * 512) + (8 * 24), RingHeader.StagedHashesOffset);
        Assert.Equal(512 + (56 * 512) + (8 * 24) + (8 * 4096), RingHeader.StacksOffset);
        Assert.Equal(512 + (56 * 512) + (8 * 24) + (8 * 4096) + (16 * 512), RingHeader.Size);
    }

    [Fact]
    public void The_fields_are_where_the_header_has_them()
    {
        Assert.Equal(4, Offset<HandoverMessage>(nameof(HandoverMessage.Version)));
        Assert.Equal(6, Offset<HandoverMessage>(nameof(HandoverMessage.Kind)));
        Assert.Equal(8, Offset<HandoverMessage>(nameof(HandoverMessage.Sequence)));
        Assert.Equal(12, Offset<HandoverMessage>(nameof(HandoverMessage.Status)));
        Assert.Equal(16, Offset<HandoverMessage>(nameof(HandoverMessage.Address)));
        Assert.Equal(24, Offset<HandoverMessage>(nameof(HandoverMessage.Bytes)));
        Assert.Equal(32, Offset<HandoverMessage>(nameof(HandoverMessage.Value0)));
        Assert.Equal(56, Offset<HandoverMessage>(nameof(HandoverMessage.Value3)));
        Assert.Equal(64, Offset<HandoverMessage>(nameof(HandoverMessage.Payload)));
        Assert.Equal(8, Offset<EvictorCommand>(nameof(EvictorCommand.Source)));
        Assert.Equal(16, Offset<EvictorCommand>(nameof(EvictorCommand.Target)));
        Assert.Equal(24, Offset<EvictorCommand>(nameof(EvictorCommand.Cookie)));
        Assert.Equal(8, Offset<EvictorCompletion>(nameof(EvictorCompletion.Status)));
        Assert.Equal(12, Offset<EvictorCompletion>(nameof(EvictorCompletion.Pages)));
        Assert.Equal(64, Offset<RingHeader>(nameof(RingHeader.CommandsTail)));
        Assert.Equal(128, Offset<RingHeader>(nameof(RingHeader.EvictorSleeping)));
        Assert.Equal(192, Offset<RingHeader>(nameof(RingHeader.CompletionsHead)));
        Assert.Equal(256, Offset<RingHeader>(nameof(RingHeader.CompletionsTail)));
        Assert.Equal(320, Offset<RingHeader>(nameof(RingHeader.PagerSleeping)));
        Assert.Equal(384, Offset<RingHeader>(nameof(RingHeader.PagerReading)));
        Assert.Equal(388, Offset<RingHeader>(nameof(RingHeader.Generation)));
        Assert.Equal(392, Offset<RingHeader>(nameof(RingHeader.HasCaptured)));
        Assert.Equal(448, Offset<RingHeader>(nameof(RingHeader.EvictorMoving)));
        Assert.Equal(32, Offset<EvictorCommand>(nameof(EvictorCommand.Generation)));
    }

    [Fact]
    public void The_constants_are_those_of_the_header()
    {
        string header = File.ReadAllText(Path.Combine(SourceFolder(), "../../../native/app/handover.h"));
        Assert.Contains("HECA_HANDOVER_MAGIC 0x41434548u", header, StringComparison.Ordinal);
        Assert.Equal(0x41434548u, HandoverAbi.Magic);
        Assert.Contains($"HECA_HANDOVER_VERSION {HandoverAbi.Version}", header, StringComparison.Ordinal);
        Assert.Contains($"HECA_RING_ENTRIES {HandoverAbi.RingEntries}", header, StringComparison.Ordinal);
        Assert.Contains($"HECA_STACKS_MAX {HandoverAbi.StacksMax}", header, StringComparison.Ordinal);
        Assert.Contains($"HECA_STAGING_PAGES {HandoverAbi.StagingPages} ", header, StringComparison.Ordinal);
        foreach ((string name, ulong value) in ((string, ulong)[])
            [("MESSAGE_HELLO", HandoverAbi.Hello), ("MESSAGE_ALLOCATE", HandoverAbi.Allocate), ("MESSAGE_FREE", HandoverAbi.Free),
             ("MESSAGE_RESIZE", HandoverAbi.Resize), ("MESSAGE_ADVISE", HandoverAbi.Advise), ("MESSAGE_STATISTICS", HandoverAbi.Statistics),
             ("COMMAND_TAKE", HandoverAbi.Take), ("COMMAND_RECYCLE", HandoverAbi.Recycle), ("COMMAND_DROP", HandoverAbi.Drop)])
        {
            Assert.Contains($"HECA_{name} = {value},", header, StringComparison.Ordinal);
        }

        foreach ((string name, ulong value) in ((string, ulong)[])
            [("MOVE", HandoverAbi.CanMove), ("POISON", HandoverAbi.CanPoison), ("WP", HandoverAbi.CanWriteProtect), ("CHANGE", HandoverAbi.CanChange),
             ("CAPTURE", HandoverAbi.CanCapture)])
        {
            Assert.Matches($"HECA_CAN_{name} +{value}u", header);
        }

        Assert.Contains($"HECA_IS_FORKED {HandoverAbi.IsForked}u", header, StringComparison.Ordinal);
    }

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);

    private static string SourceFolder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
