namespace Florete.Ncs.Contracts;

/// <summary>Asks a path computation for paths between two vertices (docs/protocols/ncs.md); answered by a <see cref="PathAnswer"/>.</summary>
public sealed record PathRequest
{
    /// <summary>Name of the vertex where the paths begin.</summary>
    public required string From { get; init; }

    /// <summary>Name of the vertex where they end.</summary>
    public required string To { get; init; }

    /// <summary>Vertices (<c>b</c>), and links in one direction (<c>b&gt;c</c>). A name that is not in the topology avoids nothing.</summary>
    public IReadOnlyList<string> Avoid { get; init; } = [];

    /// <summary>What the metrics of a path may add up to; 0: anything.</summary>
    public long MaxMetricMicroseconds { get; init; }

    /// <summary>What every link has at least; one whose capacity is unknown has not. 0: any link.</summary>
    public long MinCapacityBitsPerSecond { get; init; }

    /// <summary>Paths wanted, disjoint among themselves; 1 to <see cref="NcsProtocol.MaxPaths"/>.</summary>
    public int Count { get; init; } = 1;

    /// <summary>What disjoint paths may not have in common.</summary>
    public Disjointness Disjoint { get; init; } = Disjointness.Vertex;

    /// <summary>Other paths, all their vertices in order, that the ones asked for are disjoint from.</summary>
    public IReadOnlyList<IReadOnlyList<string>> DisjointFrom { get; init; } = [];
}

/// <summary>What disjoint paths may not have in common.</summary>
public enum Disjointness
{
    /// <summary>No vertex but the two ends, and no link.</summary>
    Vertex,

    /// <summary>No link, in either direction.</summary>
    Link,
}
