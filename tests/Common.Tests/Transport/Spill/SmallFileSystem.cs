using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>
/// A small file system of this test's own. It is taken out of the tree as soon as what is needed there is open (<see cref="Detach"/>), and is gone with the last file.
/// </summary>
internal sealed class SmallFileSystem : IDisposable
{
    private readonly string _at = Directory.CreateTempSubdirectory("heca-spill-").FullName;
    private bool _isMounted;
    private string _image = "";
    private string _device = "";

    private SmallFileSystem()
    {
    }

    public string Path => _at;

    /// <summary>So many bytes of memory.</summary>
    public static SmallFileSystem Memory(long bytes)
    {
        SmallFileSystem made = new();
        made.Mount("-t", "tmpfs", "-o", $"size={bytes},mode=700", "none");
        return made;
    }

    /// <summary>An ext4 on a device of so many bytes, which is a file in <paramref name="under"/> that gets its room there only as it is written to.</summary>
    public static SmallFileSystem OnDevice(SmallFileSystem under, long bytes)
    {
        SmallFileSystem made = new() { _image = System.IO.Path.Combine(under.Path, "image") };
        using (FileStream file = File.Create(made._image))
        {
            file.SetLength(bytes);
        }

        // Without a journal and with its tables left for later it is small.
        int ended = Run("mkfs.ext4", out string said, "-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=1", made._image);
        ended = ended != 0 ? ended : Run("losetup", out said, "--find", "--show", made._image);
        if (ended != 0)
        {
            Directory.Delete(made._at);
        }

        Capability.Require("mount", ended == 0, $"no ext4 on a loop device can be made: {said}");
        made._device = said;
        try
        {
            made.Mount(said);
        }
        finally
        {
            // It goes with whoever uses it last.
            _ = Run("losetup", out _, "--detach", said);
        }

        return made;
    }

    /// <summary>From now on there is so much memory.</summary>
    public void Grow(long bytes) => Assert.Equal(0, Run("mount", out _, "-o", $"remount,size={bytes}", _at));

    /// <summary>The device breaks off there: whatever lies beyond is an I/O error.</summary>
    public void BreakOff(long bytes)
    {
        using (FileStream file = File.OpenWrite(_image))
        {
            file.SetLength(bytes);
        }

        Assert.Equal(0, Run("losetup", out _, "--set-capacity", _device));
    }

    public void Detach()
    {
        if (_isMounted)
        {
            _isMounted = false;
            Assert.Equal(0, Run("umount", out _, "-l", _at));
        }
    }

    public void Dispose()
    {
        Detach();
        Directory.Delete(_at);
    }

    private void Mount(params string[] arguments)
    {
        _isMounted = Run("mount", out string said, [.. arguments, _at]) == 0;
        if (!_isMounted)
        {
            Directory.Delete(_at);
        }

        Capability.Require("mount", _isMounted, $"no file system can be mounted: {said}");
    }

    private static int Run(string program, out string said, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            string output = process.StandardOutput.ReadToEnd();
            said = (output + process.StandardError.ReadToEnd()).Trim();
            process.WaitForExit();
            return process.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            said = $"{program}: {e.Message}";
            return -1;
        }
    }
}
