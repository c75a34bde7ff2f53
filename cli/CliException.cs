namespace Florete.Cli;

/// <summary>Something that the operator must set right: one line what, one line remedy. The program ends with code 1.</summary>
public sealed class CliException(string what, string? remedy = null) : Exception(what)
{
    public string? Remedy { get; } = remedy;
}
