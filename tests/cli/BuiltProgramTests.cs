using Florete.Cli.Local;

namespace Florete.Cli.Tests;

/// <summary>Which flor <c>florctl local up</c> runs, and names in the commands that it prints.</summary>
public sealed class BuiltProgramTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("florctl-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void It_is_beside_florctl()
    {
        Make("other");
        var expected = Make("opt");
        Assert.Equal(expected, Find(beside: "opt", "other"));
    }

    [Fact]
    public void Else_it_is_the_first_in_PATH()
    {
        var expected = Make("one");
        Make("two");
        Assert.Equal(expected, Find(beside: "opt", "none", "one", "two"));
    }

    [Fact]
    public void Where_there_is_none_the_remedy_is_named()
    {
        Assert.Contains("--flor", Assert.Throws<CliException>(() => Find(beside: "opt", "none")).Remedy, StringComparison.Ordinal);
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
