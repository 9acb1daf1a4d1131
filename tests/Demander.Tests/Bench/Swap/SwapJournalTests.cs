using Hecatonchire.Bench.Swap;
using Hecatonchire.Cli;
using Xunit;

namespace Hecatonchire.Tests.Bench.Swap;

public sealed class SwapJournalTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    private string Journal => Path.Combine(_directory, "undo");

    private string Setting => Path.Combine(_directory, "setting");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    public static TheoryData<string> Lines =>
    [
        "swapoff\t/var/tmp/a b.swap", "delete\t/var/tmp/a.swap", "restore\t/sys/module/zswap/parameters/enabled\tN", "rmdir\t/sys/fs/cgroup/x",
        "zram\t3\tremove", "zram\t0\treset",
    ];

    [Theory]
    [MemberData(nameof(Lines))]
    public void A_step_is_read_as_it_was_written(string line) => Assert.Equal(line, UndoStep.Parse(line)!.ToLine());

    [Theory]
    [InlineData("")]
    [InlineData("zram\tmany\treset")]
    [InlineData("format\t/dev/sda")]
    [InlineData("restore\t/sys/half")]
    public void Other_lines_are_no_steps(string line) => Assert.Null(UndoStep.Parse(line));

    [Fact]
    public void Steps_are_undone_from_the_last_to_the_first()
    {
        File.WriteAllText(Setting, "3");
        using (SwapJournal journal = SwapJournal.Open(Journal))
        {
            journal.Add(new SettingRestore(Setting, "1"));
            journal.Add(new SettingRestore(Setting, "2"));
        }

        Assert.Equal("1", File.ReadAllText(Setting));
        Assert.False(File.Exists(Journal));
    }

    [Fact]
    public void Steps_of_a_killed_run_are_undone_by_the_next()
    {
        File.WriteAllText(Setting, "2");
        LeaveBehind(File.ReadAllText("/proc/sys/kernel/random/boot_id").TrimEnd());
        SwapJournal.CleanUp(Journal);
        Assert.Equal("1", File.ReadAllText(Setting));
        Assert.False(File.Exists(Path.Combine(_directory, "area")));
        Assert.False(File.Exists(Journal));
    }

    /// <summary>After a restart of the host a device of the same number is somebody else's; a swap file is still ours.</summary>
    [Fact]
    public void Of_a_run_before_the_last_boot_only_files_are_left()
    {
        File.WriteAllText(Setting, "2");
        LeaveBehind("another boot");
        SwapJournal.CleanUp(Journal);
        Assert.Equal("2", File.ReadAllText(Setting));
        Assert.False(File.Exists(Path.Combine(_directory, "area")));
    }

    [Fact]
    public void What_cannot_be_undone_is_said_and_kept_for_the_next_run()
    {
        string missing = Path.Combine(_directory, "not yet");
        SwapJournal journal = SwapJournal.Open(Journal);
        File.WriteAllText(Setting, "2");
        journal.Add(new SettingRestore(missing, "1"));
        journal.Add(new SettingRestore(Setting, "1"));
        CommandException error = Assert.Throws<CommandException>(journal.Dispose);
        Assert.Contains(missing, error.Message, StringComparison.Ordinal);
        Assert.Equal("1", File.ReadAllText(Setting));

        File.WriteAllText(missing, "2");
        File.WriteAllText(Setting, "2");
        SwapJournal.Open(Journal).Dispose();
        Assert.Equal("1", File.ReadAllText(missing));
        Assert.Equal("2", File.ReadAllText(Setting));
    }

    [Fact]
    public void One_run_at_a_time()
    {
        using SwapJournal journal = SwapJournal.Open(Journal);
        Assert.Contains("another", Assert.Throws<CommandException>(() => SwapJournal.Open(Journal)).Message, StringComparison.Ordinal);
        SwapJournal.CleanUp(Journal);
        Assert.True(File.Exists(Journal));
    }

    private void LeaveBehind(string boot)
    {
        string area = Path.Combine(_directory, "area");
        File.WriteAllText(area, "pages");
        File.WriteAllLines(Journal, [boot, $"delete\t{area}", $"restore\t{Setting}\t1", "swap"]);
    }
}
