using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// The decided paths of a vertex, and what they mean in labels now. A path is in use while every vertex in it can be reached and every link named is there; while not, packets
/// take the best path, so that what is decided never stands in the way of what is possible. Loop-affine.
/// </summary>
/// <param name="self">The own vertex.</param>
/// <param name="standing">Whether a link of the own vertex to this neighbour stands.</param>
internal sealed class DecidedPaths(SpiffeId self, Func<SpiffeId, bool> standing)
{
    private Entry[] entries = [];

    public bool IsEmpty => entries.Length == 0;

    /// <exception cref="ArgumentException">A path is not one; nothing has changed.</exception>
    public void Set(IReadOnlyList<DecidedPath> paths, RouteTable table)
    {
        if (paths.Count > DecidedPath.MaxPaths) throw new ArgumentException($"{paths.Count} paths; at most {DecidedPath.MaxPaths} are possible.", nameof(paths));
        var targets = new HashSet<SpiffeId>();
        foreach (var path in paths)
        {
            if (ProblemOf(path) is { } problem) throw new ArgumentException($"The path {path}: {problem}", nameof(paths));
            if (!targets.Add(path.To)) throw new ArgumentException($"Two paths to {path.To.Name}; one is possible.", nameof(paths));
        }
        foreach (var entry in entries)
        {
            if (table.Find(entry.Path.To) is { } route) route.Decided = null;
        }
        entries = [.. paths.Select(static path => new Entry(path))];
    }

    /// <summary>Puts into the routes of the table which decided path is in use.</summary>
    /// <param name="table">The next hops in use.</param>
    /// <param name="newest">The newest topology, which may not be installed yet: its bad news counts at once.</param>
    /// <param name="lost">Neighbours whose links went since the table was computed.</param>
    public void Apply(RouteTable table, Topology newest, HashSet<SpiffeId> lost)
    {
        foreach (var entry in entries)
        {
            (entry.InUse, entry.Problem) = Translate(entry.Path, table, newest, lost);
            if (table.Find(entry.Path.To) is { } route) route.Decided = entry.InUse is { Segments.Length: > 0 } path ? path : null;
        }
    }

    public IReadOnlyList<DecidedPathStatus> Status() =>
        [.. entries.Select(static e => new DecidedPathStatus(e.Path.To, e.Path.Via, e.InUse?.Segments ?? [], e.Problem)).OrderBy(static s => s.To)];

    private string? ProblemOf(DecidedPath path)
    {
        if (path.To.Kind != IdentityKind.Vertex) return $"{path.To} is no vertex.";
        if (path.To == self) return "it leads to this vertex itself.";
        if (path.Via.Count > DecidedPath.MaxSteps) return $"{path.Via.Count} steps; at most {DecidedPath.MaxSteps} are possible.";
        foreach (var step in path.Via)
        {
            if (step.Vertex is not { Kind: IdentityKind.Vertex } || step.Towards is { Kind: not IdentityKind.Vertex }) return "a step names what is no vertex.";
            if (step.Vertex == step.Towards) return $"{step} is no link.";
        }
        return null;
    }

    private (PathInUse? InUse, string? Problem) Translate(DecidedPath path, RouteTable table, Topology newest, HashSet<SpiffeId> lost)
    {
        if (NotReached(path.To, table) is { } unreachable) return (null, unreachable);
        var segments = new List<Label>(DecidedPath.MaxSegments + 1);
        var legs = new List<Leg>(DecidedPath.MaxSegments + 2);
        var at = self;
        foreach (var step in path.Via)
        {
            // While its repairs hold, this vertex does not know yet whether a neighbour has gone with the link to it.
            if (lost.Contains(step.Vertex)) return (null, $"the link to {step.Vertex.Name} has just gone.");
            if (step.Vertex != at)
            {
                if (step.Vertex == self) return (null, $"it comes back to {self.Name}, where it begins.");
                if (NotReached(step.Vertex, table) is { } problem) return (null, problem);
                segments.Add(table.Find(step.Vertex)!.Segment);
                legs.Add(new Leg(table.Graph.IndexOf(at), table.Graph.IndexOf(step.Vertex), IsLink: false));
                at = step.Vertex;
            }
            if (step.Towards is not { } next) continue;
            if (next == self) return (null, $"it comes back to {self.Name}, where it begins.");
            if (!table.Graph.TryFindEdge(at, next, out var edge) || !HasLink(newest, at, next) || (at == self && !standing(next)))
                return (null, $"there is no link from {at.Name} to {next.Name} now.");
            segments.Add(edge.Adjacency.Segment);
            legs.Add(new Leg(table.Graph.IndexOf(at), edge.To, IsLink: true));
            at = next;
        }
        // The destination's own segment is at the bottom of every stack.
        if (at != path.To) legs.Add(new Leg(table.Graph.IndexOf(at), table.Graph.IndexOf(path.To), IsLink: false));
        else if (legs.Count > 0 && !legs[^1].IsLink) segments.RemoveAt(segments.Count - 1);
        if (segments.Count > DecidedPath.MaxSegments)
            return (null, $"it takes {segments.Count} segments, and {DecidedPath.MaxSegments} are possible; a link after another vertex than its first takes two.");
        return (new PathInUse([.. segments], [.. legs]), null);
    }

    private static string? NotReached(SpiffeId vertex, RouteTable table)
    {
        if (table.Find(vertex) is not { } route) return $"no path leads to {vertex.Name} now.";
        return Label.Nodes.Contains(route.Segment) && table.Find(route.Segment) == route ? null : $"{vertex.Name} has no node segment of its own now.";
    }

    private static bool HasLink(Topology topology, SpiffeId from, SpiffeId to) => Advertises(topology, from, to) && Advertises(topology, to, from);

    private static bool Advertises(Topology topology, SpiffeId from, SpiffeId to)
    {
        if (topology.Find(from) is not { } vertex) return false;
        foreach (var adjacency in vertex.Adjacencies)
        {
            if (adjacency.Neighbour == to) return true;
        }
        return false;
    }

    private sealed class Entry(DecidedPath path)
    {
        public DecidedPath Path { get; } = path;

        public PathInUse? InUse { get; set; }

        public string? Problem { get; set; } = "no topology has come yet.";
    }
}

/// <param name="From">Index in the graph.</param>
/// <param name="To">Index in the graph.</param>
/// <param name="IsLink">Over that link; otherwise by the best path.</param>
internal readonly record struct Leg(int From, int To, bool IsLink);

/// <summary>A decided path in labels, for one route table.</summary>
internal sealed class PathInUse(Label[] segments, Leg[] legs)
{
    /// <summary>At least one; the top first, the destination's left out.</summary>
    public Label[] Segments { get; } = segments;

    /// <summary>From the own vertex to the destination.</summary>
    public Leg[] Legs { get; } = legs;

    /// <summary>Null until somebody asks.</summary>
    public PathFigures? Figures { get; set; }
}
