using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>A directory of this test's own; nothing may be in it at the end.</summary>
internal sealed class SpillDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("heca-spill-").FullName;

    public bool IsEmpty => !Directory.EnumerateFileSystemEntries(Path).Any();

    public void Dispose()
    {
        bool isEmpty = IsEmpty;
        Directory.Delete(Path, recursive: true);
        Assert.True(isEmpty, "something was left behind");
    }
}

/// <summary>A spill file on the disk that temporary files are on, with a slab and a connection to it.</summary>
internal sealed class SpillPeer : DataConnectionContract.Peer
{
    private readonly SpillDirectory _directory = new();

    public SpillPeer(uint slots, int threads)
    {
        IsOrdered = threads == 1;
        File = new SpillFile(_directory.Path, 1L << 30);
        Assert.Equal(0, File.TryAllocate((long)slots << PageSize.Shift, out ulong slab));
        Slab = slab;
        Spill = new SpillConnection(File, threads);
    }

    public SpillFile File { get; }

    public SpillConnection Spill { get; }

    public override IDataConnection Connection => Spill;

    public override ulong Slab { get; }

    public override bool IsOrdered { get; }

    /// <summary>As a device that fails does.</summary>
    public override void Kill() => File.Fail("the test says so");

    public override void Dispose()
    {
        Spill.Dispose();
        File.Dispose();
        _directory.Dispose();
    }
}

public sealed class SpillConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new SpillPeer(Slots, SpillConnection.ThreadsDefault);
}

public sealed class OrderedSpillConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new SpillPeer(Slots, threads: 1);
}

public sealed class CrowdedSpillConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new SpillPeer(Slots, threads: 7);
}
