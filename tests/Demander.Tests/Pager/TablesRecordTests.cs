using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Pager;

public sealed class TablesRecordTests : IDisposable
{
    private const int Exchanges = 300;

    private readonly string _folder = Directory.CreateTempSubdirectory("heca-test-tables-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_program_has_the_tables_that_it_was_given_and_no_others()
    {
        var record = new TablesRecord(_folder, Environment.ProcessId);
        Assert.False(record.Has("1:2"));
        record.Write(Guid.NewGuid(), "1:2", "1:3");
        Assert.True(record.Has("1:2") && record.Has("1:3"));
        Assert.False(record.Has("1:4"));
        record.Write(Guid.NewGuid(), "1:3");
        Assert.False(record.Has("1:2"));
        record.Delete();
        Assert.False(record.Has("1:3"));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void A_family_is_who_was_given_tables_of_one_demander()
    {
        Guid one = Guid.NewGuid(), other = Guid.NewGuid();
        new TablesRecord(_folder, 11).Write(one, "1:2");
        new TablesRecord(_folder, 12).Write(other, "1:3");
        new TablesRecord(_folder, 13).Write(one, "1:4");
        File.WriteAllText(Path.Combine(_folder, "14.tables"), "");
        File.WriteAllText(Path.Combine(_folder, "job.json"), one.ToString());
        Assert.Equal([11, 13], TablesRecord.Of(_folder, one).Select(record => record.Process).Order());
        Assert.Equal([12], TablesRecord.Of(_folder, other).Select(record => record.Process));
        Assert.Empty(TablesRecord.Of(_folder, Guid.NewGuid()));
    }

    [Fact]
    public void Who_lives_and_holds_tables_can_come()
    {
        var own = new TablesRecord(_folder, Environment.ProcessId);
        Assert.False(own.CanCome);
        own.Write(Guid.NewGuid(), "1:2");
        using (PageTableFile.Create())
        {
            Assert.True(own.CanCome);

            // The number is another process's by now.
            string path = Directory.GetFiles(_folder).Single();
            File.WriteAllLines(path, File.ReadAllLines(path).Select((line, i) => i == 1 ? "1" : line));
            Assert.False(own.CanCome);
        }
    }

    [Fact]
    public void Who_has_become_another_program_or_has_ended_cannot_come()
    {
        using Process other = Process.Start("sleep", "600");
        var record = new TablesRecord(_folder, other.Id);
        record.Write(Guid.NewGuid(), "1:2");
        Assert.False(record.CanCome);
        other.Kill();
        other.WaitForExit();
        Assert.False(record.CanCome);
    }

    /// <summary>Who is looked at while it exchanges its tables could be taken for one that has none, and its memory given to others.</summary>
    [Fact]
    public async Task A_process_that_exchanges_its_tables_holds_some_all_the_time()
    {
        var record = new TablesRecord(_folder, Environment.ProcessId);
        record.Write(Guid.NewGuid(), "1:2");
        int held = Libc.MemoryFile(PageTableFile.Name, Libc.MFD_CLOEXEC);
        Assert.True(record.CanCome);

        int looks = 0;
        bool isDone = false;
        Task<bool> look = Task.Run(
            () =>
            {
                bool canCome = true;
                while (canCome && !Volatile.Read(ref isDone))
                {
                    canCome = record.CanCome;
                    _ = Interlocked.Increment(ref looks);
                }

                return canCome;
            },
            TestContext.Current.CancellationToken);
        for (int i = 0; i < Exchanges && !look.IsCompleted; i++)
        {
            // Once in a look at most, somewhere in it.
            int seen = Volatile.Read(ref looks);
            Thread.SpinWait(i * 40);
            int next = Libc.MemoryFile(PageTableFile.Name, Libc.MFD_CLOEXEC);
            Assert.Equal(0, Libc.Close(held));
            held = next;
            Assert.True(SpinWait.SpinUntil(() => look.IsCompleted || Volatile.Read(ref looks) > seen + 1, TimeSpan.FromSeconds(60)));
        }

        Volatile.Write(ref isDone, true);
        Assert.True(await look, "it was seen without any");
        Assert.Equal(0, Libc.Close(held));
        Assert.False(record.CanCome);
    }
}
