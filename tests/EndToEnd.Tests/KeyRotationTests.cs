using System.Diagnostics;
using Hecatonchire.Control.Keys;
using Hecatonchire.Lending;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What a program notices when the key that its memory is borrowed with is changed, or is taken away.</summary>
public sealed class KeyRotationTests : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-rotation-").FullName;

    private string Trust => Path.Combine(_directory, "sponsor.trust");

    private string Secret => Path.Combine(_directory, "demander.secret");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_program_verifies_while_its_key_is_changed_again_and_again()
    {
        Command("key", "new", "--key", Secret);
        Command("key", "trust", "alice", Public, "--quota", "128MiB", "--trust", Trust);
        using var sponsor = new SponsorProcess("256MiB", "--trust", Trust);
        using var paged = new PagedProgram(Borrowing.From(sponsor.Endpoint) with { Key = new DemanderKey(Secret) }, "8MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "4", "30000"]);
        Assert.True(SpinWait.SpinUntil(() => paged.Host.IsServing, s_deadline), "the program does not come");
        int changes = 0;
        while (!program.HasExited && changes < 2)
        {
            string old = File.ReadAllText(Public).Trim();
            Command("key", "new", "--replace", "--key", Secret);
            Command("key", "trust", "alice", Public, "--quota", "128MiB", "--trust", Trust);
            Command("key", "revoke", old, "--trust", Trust);

            // Its connections were ended, and made again with the new key.
            long reconnects = ++changes;
            Assert.True(SpinWait.SpinUntil(() => paged.Host.Snapshot().Reconnects >= reconnects || program.HasExited, s_deadline), "the old key was not revoked");
        }

        Assert.True(program.WaitForExit(s_deadline), "the program hangs");
        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.Equal(0, program.ExitCode);
        Assert.Null(paged.Host.Failure);
        Assert.Equal(0, paged.Host.Snapshot().PagesLost);
        Assert.True(changes > 0 && paged.Host.Snapshot().Reconnects > 0, "this shows nothing");
    }

    [Fact]
    public void A_run_whose_key_is_not_trusted_ends_with_one_line()
    {
        Command("key", "new", "--key", Secret);
        KeyFile.Write(Trust, "# nobody", KeyFile.PublicMode, overwrite: true, "");
        using var sponsor = new SponsorProcess("256MiB", "--trust", Trust);
        (int status, _, string error) = HecaRun.ToEnd(sponsor, s_deadline, "--key", Secret, "--", "true");
        Assert.Equal(1, status);
        Assert.Equal(
            $"heca: sponsor {sponsor.Name} does not trust the key in {Secret}: the key is not in its trust file; its operator can, with heca key trust NAME '{File.ReadAllText(Public).Trim()}'\n",
            error);
    }

    private string Public => Path.ChangeExtension(Secret, ".public");

    private static void Command(params string[] arguments)
    {
        (int status, _, string error) = HecaRun.Command(arguments);
        Assert.True(status == 0, error);
    }
}
