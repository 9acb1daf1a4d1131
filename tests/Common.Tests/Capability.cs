using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What a test needs of the host: without it, skip with the reason, or fail where HECA_REQUIRE names it.</summary>
internal static class Capability
{
    public const string Python = "/usr/bin/python3";

    /// <summary>Debian's python with zmq and msgpack.</summary>
    public static void RequirePython() => Require("python", File.Exists(Python), "no /usr/bin/python3: apt-get install python3-zmq python3-msgpack");

    public static void RequireZmq() =>
        Require(
            "libzmq",
            System.Runtime.InteropServices.NativeLibrary.TryLoad("libzmq.so.5", out _),
            "no libzmq.so.5: apt-get install libzmq5");

    public static void Require(string name, bool there, string missing)
    {
        if (!there)
        {
            Assert.False((Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Split(',').Contains(name), missing);
            Assert.Skip(missing);
        }
    }
}
