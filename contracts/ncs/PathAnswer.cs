namespace Florete.Ncs.Contracts;

/// <summary>As many paths as were asked for; or none, and why.</summary>
public sealed record PathAnswer
{
    public IReadOnlyList<ComputedPath> Paths { get; init; } = [];

    /// <summary>Null: there are paths.</summary>
    public PathProblem? Problem { get; init; }

    /// <summary>The problem for people.</summary>
    public string? Text { get; init; }

    public static PathAnswer Of(IReadOnlyList<ComputedPath> paths) => new() { Paths = paths };

    public static PathAnswer Failed(PathProblem problem, string text) => new() { Problem = problem, Text = text };
}

/// <summary>A path, and how to make packets take it.</summary>
public sealed record ComputedPath
{
    /// <summary>All that it passes, the two ends included.</summary>
    public required IReadOnlyList<string> Vertices { get; init; }

    /// <summary>
    /// The fewest segments that lead a packet exactly there, as a decision says it: vertices (<c>e</c>) and links (<c>c&gt;b</c>). Empty: best paths alone lead there, and nowhere else.
    /// </summary>
    public required IReadOnlyList<string> Via { get; init; }

    /// <summary>Sum over the links.</summary>
    public required long MetricMicroseconds { get; init; }

    /// <summary>Of the narrowest link whose capacity is known; 0: none is.</summary>
    public required long CapacityBitsPerSecond { get; init; }
}

/// <summary>Why there is no path.</summary>
public enum PathProblem
{
    /// <summary>The request is none; the text says which part.</summary>
    Malformed,

    /// <summary>The vertex beside the path computation has not told the topology.</summary>
    NoTopology,

    UnknownVertex,

    /// <summary>Nothing meets the request.</summary>
    NoPath,

    /// <summary>More links than a packet passes.</summary>
    TooLong,

    /// <summary>More segments than a packet has room for.</summary>
    TooManySegments,

    /// <summary>The computation took too long.</summary>
    TooLate,
}
