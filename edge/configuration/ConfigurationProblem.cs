namespace Florete.Configuration;

/// <summary>One thing wrong with a configuration, for the person who must correct it.</summary>
/// <param name="File">The file.</param>
/// <param name="Line">Counted from 1.</param>
/// <param name="Field">Its path, as in <c>inbounds[0].proxy</c>; empty for the whole file.</param>
/// <param name="Message">What is wrong, and the remedy.</param>
public sealed record ConfigurationProblem(string File, int Line, string Field, string Message)
{
    public override string ToString() => Field.Length == 0 ? $"{File}:{Line}: {Message}" : $"{File}:{Line}: {Field}: {Message}";
}

/// <summary>Collects problems of one file.</summary>
internal sealed class ConfigurationProblems(string file)
{
    // A file of garbage has one reader; more lines help nobody.
    private const int Max = 200;

    private readonly List<ConfigurationProblem> all = [];

    public IReadOnlyList<ConfigurationProblem> All => all.OrderBy(problem => problem.Line).ToArray();

    public int Count => all.Count;

    public void Add(int line, string field, string message)
    {
        if (all.Count < Max) all.Add(new ConfigurationProblem(file, line, field, message));
    }
}
