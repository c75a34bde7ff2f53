namespace Florete.Proxy;

/// <summary>The node cannot run as it is configured; each problem names its file or field and the remedy.</summary>
public sealed class StartupException(IReadOnlyList<string> problems) : Exception(string.Join(Environment.NewLine, problems))
{
    public IReadOnlyList<string> Problems { get; } = problems;
}
