using Florete.Ncs.Contracts;

namespace Florete.Ncs;

/// <summary>Answers path requests over a network (docs/protocols/ncs.md). Keeps nothing.</summary>
public static class PathComputation
{
    private const int MaxNameLength = 63;

    /// <exception cref="OperationCanceledException">The time is over.</exception>
    public static PathAnswer Answer(Network network, PathRequest request, CancellationToken cancellationToken = default)
    {
        if (ProblemOf(request) is { } malformed) return PathAnswer.Failed(PathProblem.Malformed, malformed);
        var (from, to) = (network.IndexOf(request.From), network.IndexOf(request.To));
        foreach (var (index, name) in new[] { (from, request.From), (to, request.To) })
        {
            if (index < 0) return PathAnswer.Failed(PathProblem.UnknownVertex, $"No vertex {name} is in the topology; 'florctl get nodes' names those that are.");
        }
        var found = DisjointPaths.Find(network, new Constraints(network, request), from, to, request.Count, request.Disjoint, cancellationToken);
        if (found is null) return PathAnswer.Failed(PathProblem.NoPath, WhyNone(network, request, from, to, cancellationToken));
        var paths = new List<ComputedPath>();
        foreach (var path in found)
        {
            var metric = DisjointPaths.Metric(network, path);
            if (request.MaxMetricMicroseconds > 0 && metric > request.MaxMetricMicroseconds)
                return PathAnswer.Failed(PathProblem.NoPath, TooFar(request, metric));
            if (path.Count - 1 > NcsProtocol.MaxLinks)
                return PathAnswer.Failed(PathProblem.TooLong, $"The shortest path that meets the request has {path.Count - 1} links; a packet passes {NcsProtocol.MaxLinks}.");
            if (Segments.Of(network, path, cancellationToken) is not { } via)
                return PathAnswer.Failed(PathProblem.TooManySegments, $"The path {string.Join(' ', path.Select(v => network.Names[v]))} takes more than {NcsProtocol.MaxSegments} segments; avoid less, or change metrics.");
            paths.Add(new ComputedPath
            {
                Vertices = [.. path.Select(v => network.Names[v])],
                Via = via,
                MetricMicroseconds = metric,
                CapacityBitsPerSecond = Capacity(network, path),
            });
        }
        return PathAnswer.Of(paths);
    }

    // Messages come from others: any part may be absent, whatever its type says.
    private static string? ProblemOf(PathRequest request)
    {
        if (!IsName(request.From)) return "'from' is no name of a vertex.";
        if (!IsName(request.To)) return "'to' is no name of a vertex.";
        if (request.From == request.To) return $"'from' and 'to' are both {request.From}; a path has two ends.";
        if (request.MaxMetricMicroseconds < 0) return "'maxMetricMicroseconds' is negative; 0 is any.";
        if (request.MinCapacityBitsPerSecond < 0) return "'minCapacityBitsPerSecond' is negative; 0 is any.";
        if (request.Count is < 1 or > NcsProtocol.MaxPaths) return $"'count' is {request.Count}; 1 to {NcsProtocol.MaxPaths} are possible.";
        if (!Enum.IsDefined(request.Disjoint)) return "'disjoint' is neither vertex nor link.";
        if (request.Avoid is not { Count: <= NcsProtocol.MaxAvoided } avoid) return $"'avoid' names more than {NcsProtocol.MaxAvoided}.";
        foreach (var name in avoid)
        {
            if (name is null || name.Split('>') is not { Length: 1 or 2 } parts || !Array.TrueForAll(parts, IsName)) return "'avoid' has what is neither a vertex (b) nor a link (b>c).";
            if (name == request.From || name == request.To) return $"'avoid' names {name}, an end of the path.";
        }
        if (request.DisjointFrom is not { Count: <= NcsProtocol.MaxDisjointFrom } others) return $"'disjointFrom' has more than {NcsProtocol.MaxDisjointFrom} paths.";
        foreach (var other in others)
        {
            if (other is not { Count: >= 2 and <= NcsProtocol.MaxLinks + 1 } || !other.All(IsName)) return $"'disjointFrom' has what is no path of 2 to {NcsProtocol.MaxLinks + 1} vertices.";
        }
        return null;
    }

    private static bool IsName(string? name) => name is { Length: >= 1 and <= MaxNameLength } && !name.AsSpan().ContainsAny("> \t\r\n");

    private static string TooFar(PathRequest request, long metric) => request.Count == 1
        ? $"The shortest path from {request.From} to {request.To} that meets the rest takes {metric} µs, more than {request.MaxMetricMicroseconds}."
        : $"Of the {request.Count} disjoint paths from {request.From} to {request.To} that are shortest together one takes {metric} µs, more than {request.MaxMetricMicroseconds}; others were not looked for.";

    private static string WhyNone(Network network, PathRequest request, int from, int to, CancellationToken cancellationToken)
    {
        if (ShortestPaths.From(network, from, cancellationToken).Distance[to] == ShortestPaths.Unreachable) return $"No links lead from {request.From} to {request.To}.";
        var what = request.Count == 1 ? "No path leads" : $"No {request.Count} disjoint paths lead";
        var unknown = request.MinCapacityBitsPerSecond > 0 && Array.Exists(network.Links, static l => l.Capacity == 0) ? " There are links whose capacity is not known: they count as too narrow." : "";
        return $"{what} from {request.From} to {request.To} without what is avoided or too narrow.{unknown}";
    }

    private static long Capacity(Network network, IReadOnlyList<int> path)
    {
        ulong narrowest = 0;
        for (var i = 1; i < path.Count; i++)
        {
            var capacity = network.Find(path[i - 1], path[i]).Capacity;
            if (capacity != 0 && (narrowest == 0 || capacity < narrowest)) narrowest = capacity;
        }
        return (long)Math.Min(narrowest, long.MaxValue);
    }
}
