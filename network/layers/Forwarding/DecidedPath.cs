using Florete.Identities;

namespace Florete.Layers;

/// <summary>A part of a decided path: a vertex to pass, or a link to take.</summary>
public readonly record struct PathStep
{
    private PathStep(SpiffeId vertex, SpiffeId? towards) => (Vertex, Towards) = (vertex, towards);

    /// <summary>The vertex to pass; of a link the vertex where it begins.</summary>
    public SpiffeId Vertex { get; }

    /// <summary>The other end of the link; null: any way on.</summary>
    public SpiffeId? Towards { get; }

    public static PathStep Through(SpiffeId vertex) => new(vertex, null);

    public static PathStep Over(SpiffeId from, SpiffeId to) => new(from, to);

    /// <summary><c>c</c>, or <c>c&gt;b</c>.</summary>
    public override string ToString() => Towards is null ? $"{Vertex?.Name}" : $"{Vertex?.Name}>{Towards.Name}";
}

/// <summary>A path that the control plane wants otherwise than the best one (docs/protocols/coordination.md).</summary>
/// <param name="To">The vertex that it leads to.</param>
/// <param name="Via">What is passed, in this order; between them the best path. Empty: the best path.</param>
public sealed record DecidedPath(SpiffeId To, IReadOnlyList<PathStep> Via)
{
    public const int MaxSteps = 4;

    /// <summary>Segments above the destination's: with it, one of the six that a packet has room for remains for a repair.</summary>
    public const int MaxSegments = 4;

    /// <summary>Paths of one vertex.</summary>
    public const int MaxPaths = 256;

    public override string ToString() => $"to {To.Name} via {string.Join(' ', Via)}";
}

/// <summary>A decided path at one moment, for people.</summary>
/// <param name="To">The vertex that it leads to.</param>
/// <param name="Via">As decided.</param>
/// <param name="Segments">What is pushed above the destination's segment; empty if it is not in use.</param>
/// <param name="Problem">Why the best path is used instead; null: it is in use.</param>
public sealed record DecidedPathStatus(SpiffeId To, IReadOnlyList<PathStep> Via, IReadOnlyList<Label> Segments, string? Problem);
