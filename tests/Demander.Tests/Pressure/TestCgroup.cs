using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Tests.Host;
using Xunit;

namespace Hecatonchire.Tests.Pressure;

/// <summary>A real memory cgroup (v1) with a limit, and a child in it that takes memory on command. Gone when disposed.</summary>
internal sealed class TestCgroup : IDisposable
{
    private const string Top = "/sys/fs/cgroup/memory";

    /// <summary>Reads lines: `anon N` takes N MiB, `release` gives all back, `file PATH N` writes and syncs N MiB.</summary>
    private const string ChildProgram = """
        import os, sys
        held = []
        print("ready", flush=True)
        for line in sys.stdin:
            word = line.split()
            if word[0] == "anon":
                block = bytearray(int(word[1]) << 20)
                for i in range(0, len(block), 4096):
                    block[i] = 1
                held.append(block)
            elif word[0] == "release":
                held.clear()
            elif word[0] == "file":
                with open(word[1], "wb") as f:
                    for _ in range(int(word[2])):
                        f.write(b"x" * (1 << 20))
                    f.flush()
                    os.fsync(f.fileno())
            print("ok", flush=True)
        """;

    private static int s_counter;
    private Process? _child;

    public TestCgroup(long limitBytes, string? below = null)
    {
        Limit = limitBytes;
        Directory = $"{below ?? Top}/heca-test-{Environment.ProcessId}-{Interlocked.Increment(ref s_counter)}";
        System.IO.Directory.CreateDirectory(Directory);
        SetLimit(limitBytes);
    }

    public string Directory { get; }

    public long Limit { get; }

    public int ChildId => _child!.Id;

    public static void Require()
    {
        bool present = File.Exists($"{Top}/cgroup.procs") && Environment.UserName == "root";
        HostCapability.Require("cgroup", present, "needs root and a cgroup v1 memory controller at /sys/fs/cgroup/memory");
    }

    public void SetLimit(long bytes)
    {
        if (bytes != long.MaxValue)
        {
            Write("memory.limit_in_bytes", bytes);
        }
    }

    public long Read(string file) => long.Parse(File.ReadAllText($"{Directory}/{file}"), CultureInfo.InvariantCulture);

    public void StartChild()
    {
        var start = new ProcessStartInfo("/bin/sh")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            ArgumentList = { "-c", "echo $$ > \"$1\"; exec /usr/bin/python3 -c \"$2\"", "sh", $"{Directory}/cgroup.procs", ChildProgram },
        };
        _child = Process.Start(start)!;
        Assert.Equal("ready", _child.StandardOutput.ReadLine());
    }

    public void Tell(string command)
    {
        _child!.StandardInput.WriteLine(command);
        Assert.Equal("ok", _child.StandardOutput.ReadLine());
    }

    public void Dispose()
    {
        if (_child is not null)
        {
            _child.Kill();
            _child.WaitForExit();
            _child.Dispose();
        }

        // The kernel lets go of a dead process's group a moment after wait() has returned.
        var waited = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                System.IO.Directory.Delete(Directory);
                return;
            }
            catch (IOException) when (waited.Elapsed < TimeSpan.FromSeconds(5))
            {
                Thread.Yield();
            }
        }
    }

    private void Write(string file, long value) =>
        File.WriteAllText($"{Directory}/{file}", value.ToString(CultureInfo.InvariantCulture));
}
