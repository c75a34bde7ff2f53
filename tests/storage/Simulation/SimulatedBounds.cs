using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>One version of the bounds: authors that may not write, or not from a stamp on.</summary>
internal sealed record SimulatedBounds(int Version, IReadOnlyDictionary<string, Stamp> Until)
{
    public static SimulatedBounds All { get; } = new(1, new Dictionary<string, Stamp>());

    public bool Allow(string author, Stamp stamp) => !Until.TryGetValue(author, out var until) || stamp < until;

    public bool Allow(DocumentVersion version) => Allow(version.Author.ToString(), version.Stamp);
}
