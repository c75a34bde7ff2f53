using Florete.Cli.Local;

namespace Florete.Cli.Tests;

/// <summary>Which flor <c>florctl local up</c> runs, and names in the commands that it prints.</summary>
public sealed class BuiltProgramTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("florctl-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void In_a_built_tree_it_is_the_proxys_own_and_no_copy_in_another_project()
    {
        Make("bin/Florete.AspNetCore.Tests/release");
        Make("bin/Florete.Proxy.Tests/release");
        Make("bin/Florete.Proxy/debug");
        var expected = Make("bin/Florete.Proxy/release");
        Assert.Equal(expected, Find(beside: "bin/Florete.Cli/release/"));
    }

    [Fact]
    public void An_installed_one_is_beside_florctl()
    {
        Make("bin/Florete.Proxy/opt");
        var expected = Make("bin/usr/opt");
        Assert.Equal(expected, Find(beside: "bin/usr/opt"));
    }

    [Fact]
    public void Else_it_is_the_first_in_PATH()
    {
        var expected = Make("one");
        Make("two");
        Assert.Equal(expected, Find(beside: "bin/Florete.Cli/release", "none", "one", "two"));
    }

    [Fact]
    public void Where_there_is_none_the_remedy_is_named()
    {
        Assert.Contains("--flor", Assert.Throws<CliException>(() => Find(beside: "bin/Florete.Cli/release", "none")).Remedy, StringComparison.Ordinal);
        Assert.Contains("nowhere", Assert.Throws<CliException>(() => BuiltProgram.Flor.Find("nowhere", folder, "")).Message, StringComparison.Ordinal);
    }

    private string Make(string place)
    {
        Directory.CreateDirectory(At(place));
        var program = Path.Combine(At(place), "flor");
        File.WriteAllText(program, "");
        return program;
    }

    private string Find(string beside, params string[] path) => BuiltProgram.Flor.Find(null, At(beside), string.Join(Path.PathSeparator, path.Select(At)));

    private string At(string place) => Path.Combine(folder, place);
}
