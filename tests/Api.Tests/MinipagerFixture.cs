using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>
/// A pager for this process, which is one session for all its tests: 64 pages resident, and at most
/// <see cref="AllocatableBytes"/> in all. It ends when this process does.
/// </summary>
public sealed partial class MinipagerFixture : IDisposable
{
    public const long AllocatableBytes = 64L << 20;
    private const int SkippedStatus = 77;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("heca-api-");
    private readonly Process _pager;
    private readonly bool _listening;

    public MinipagerFixture()
    {
        string socket = Path.Combine(_directory.FullName, "socket");
        _pager = Process.Start(new ProcessStartInfo(
            NativePaths.Minipager, ["--resident", "64", "--refuse-above", $"{AllocatableBytes}", "--listen", socket])
        {
            RedirectStandardOutput = true,
        })!;
        _listening = _pager.StandardOutput.ReadLine() == "listening";

        // libheca reads the environment of the C library, of which .NET's is a copy.
        _ = SetEnvironment("HECA_SOCKET", socket, 1);
    }

    public void SkipUnlessListening()
    {
        if (!_listening)
        {
            _pager.WaitForExit();
            Assert.Equal(SkippedStatus, _pager.ExitCode);
            Assert.Skip("this user may not make a userfaultfd");
        }
    }

    public void Dispose()
    {
        _directory.Delete(recursive: true);
        _pager.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
