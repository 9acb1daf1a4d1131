using Hecatonchire.Cli.Run;
using Xunit;

namespace Hecatonchire.Tests.Cli;

public sealed class ProgramFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("/bin/sh")]
    [InlineData("/usr/bin/env")]
    public void Programs_of_the_distribution_can_have_a_library_preloaded(string path) =>
        Assert.Equal(ProgramKind.Dynamic, ProgramFile.Inspect(path));

    [Theory]
    [InlineData("#!/bin/sh\n", ProgramKind.Dynamic)]
    [InlineData("#! /usr/bin/env sh -x\n", ProgramKind.Dynamic)]
    [InlineData("#!/nowhere/at/all\n", ProgramKind.Dynamic)]
    [InlineData("", ProgramKind.Dynamic)]
    [InlineData("text", ProgramKind.Dynamic)]
    public void A_script_is_as_its_interpreter_and_what_cannot_be_made_out_is_left_to_the_kernel(string text, object kind) =>
        Assert.Equal(kind, ProgramFile.Inspect(Write("script", text)));

    [Fact]
    public void A_program_that_links_libheca_asks_for_itself()
    {
        Assert.Equal(ProgramKind.UsesHeca, ProgramFile.Inspect(Path.Combine(AppContext.BaseDirectory, "heca-sample")));
        Assert.Equal(ProgramKind.UsesHeca, ProgramFile.Inspect(Write("script", $"#!{Path.Combine(AppContext.BaseDirectory, "heca-sample")}\n")));
    }

    [Fact]
    public void A_program_without_a_loader_or_for_another_machine_is_told_apart()
    {
        byte[] shell = File.ReadAllBytes("/bin/sh");

        // e_machine: another one.
        byte[] foreign = [.. shell];
        foreign[18] ^= 0xFF;
        Assert.Equal(ProgramKind.Foreign, ProgramFile.Inspect(Write("foreign", foreign)));

        // e_phnum: no segments, hence no interpreter.
        byte[] still = [.. shell];
        (still[56], still[57]) = (0, 0);
        Assert.Equal(ProgramKind.Static, ProgramFile.Inspect(Write("static", still)));
        Assert.Equal(ProgramKind.Dynamic, ProgramFile.Inspect(Write("cut", shell[..40])));
    }

    private string Write(string name, string text) => Write(name, System.Text.Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] bytes)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
