using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// Computes the repairs of a route table, neighbour by neighbour (TI-LFA, RFC 9855). A repaired packet follows the path that will be the
/// best one without the lost part, told in as few segments as the present next hops of the other vertices allow: a node segment where all
/// their shortest paths avoid the lost part, an adjacency segment where not. Protects against loss of the neighbour where it can be
/// bypassed, else against loss of the link to it.
/// </summary>
internal sealed class RepairPlanner
{
    // The destination's segment is in the packet already.
    private const int MaxPushedSegments = LayerSizes.MaxSegments - 1;

    private readonly RouteTable table;
    private readonly LayerGraph graph;
    private readonly int self;
    private readonly ShortestPaths fromSelf;
    private readonly Func<SpiffeId, NeighbourLinks> linksTo;
    private readonly Dictionary<int, List<Route>> byOnlyNextHop = [];
    private readonly Lazy<ShortestPaths> toSelf;
    private readonly Edge[] neighbours;
    private int next;

    public RepairPlanner(RouteTable table, Func<SpiffeId, NeighbourLinks> linksTo)
    {
        this.table = table;
        this.linksTo = linksTo;
        graph = table.Graph;
        self = table.Self;
        fromSelf = table.Paths!;
        toSelf = new Lazy<ShortestPaths>(() => ShortestPaths.To(graph, self), LazyThreadSafetyMode.None);
        neighbours = graph.EdgesOf(self).ToArray();
        foreach (var route in table.Routes)
        {
            // Of several equal next hops another takes over by itself, and is nearer to the destination: no loop.
            if (route.NextHops.Length != 1) continue;
            var hop = graph.IndexOf(route.NextHops[0].Id);
            if (!byOnlyNextHop.TryGetValue(hop, out var routes)) byOnlyNextHop.Add(hop, routes = []);
            routes.Add(route);
        }
    }

    public bool IsDone => next == neighbours.Length;

    /// <summary>Plans for the loss of one more neighbour.</summary>
    public void Step()
    {
        var edge = neighbours[next++];
        var neighbour = edge.To;
        var affected = byOnlyNextHop.GetValueOrDefault(neighbour) ?? [];
        // Behind a neighbour without other links nothing can be saved.
        if (graph.EdgesOf(neighbour).Length == 1) return;
        var fromNeighbour = ShortestPaths.From(graph, neighbour, Excluded.Nothing);
        var toNeighbour = ShortestPaths.To(graph, neighbour);

        bool AvoidsLink(int from, int to, long length) =>
            length < Sum(toSelf.Value.Distance[from], edge.Cost, fromNeighbour.Distance[to])
            && length < Sum(toNeighbour.Distance[from], edge.CostBack, fromSelf.Distance[to]);

        bool AvoidsNeighbour(int from, int to, long length) =>
            length < Sum(toNeighbour.Distance[from], 0, fromNeighbour.Distance[to]);

        var withoutLink = ShortestPaths.From(graph, self, Excluded.OneLink(self, neighbour));
        if (table.Find(graph.Vertices[neighbour].Id) is { } direct) direct.LinkRepair = Plan(withoutLink, neighbour, AvoidsLink, Protection.Link);
        var withoutNeighbour = affected.Count > 1 ? ShortestPaths.From(graph, self, Excluded.OneVertex(neighbour)) : null;
        foreach (var route in affected)
        {
            var destination = graph.IndexOf(route.Id);
            if (destination != neighbour && withoutNeighbour is not null)
            {
                route.Repair = Plan(withoutNeighbour, destination, AvoidsNeighbour, Protection.Vertex);
            }
            route.Repair ??= Plan(withoutLink, destination, AvoidsLink, Protection.Link);
        }
    }

    private static long Sum(long a, long b, long c) =>
        a == ShortestPaths.Unreachable || c == ShortestPaths.Unreachable ? ShortestPaths.Unreachable : a + b + c;

    /// <param name="after">Shortest paths from the own vertex when the part is lost.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="avoids">
    /// Whether, of two vertices on such a path with that much length between them, all present shortest paths from the one to the other
    /// avoid the lost part. That is so if and only if the way through the lost part would be longer. It holds for a beginning of the path
    /// if it holds for more of it, so the furthest such vertex is the best choice.
    /// </param>
    /// <param name="protection">What is lost.</param>
    private Repair? Plan(ShortestPaths after, int destination, Func<int, int, long, bool> avoids, Protection protection)
    {
        if (after.Distance[destination] == ShortestPaths.Unreachable) return null;
        var path = new List<int>();
        for (var vertex = destination; vertex != self; vertex = after.Parent[vertex]) path.Add(vertex);
        path.Reverse();
        // The first vertex is reached over its link, whatever the present best path to it is.
        var segments = new List<Label>();
        for (var at = 0; path[at] != destination;)
        {
            var furthest = at;
            while (furthest + 1 < path.Count && avoids(path[at], path[furthest + 1], after.Distance[path[furthest + 1]] - after.Distance[path[at]])) furthest++;
            if (furthest == path.Count - 1) break;
            if (furthest > at)
            {
                segments.Add(graph.Vertices[path[furthest]].Segment);
                at = furthest;
                continue;
            }
            graph.TryFindEdge(path[at], path[at + 1], out var edge);
            segments.Add(edge.Adjacency.Segment);
            at++;
        }
        return segments.Count <= MaxPushedSegments
            ? new Repair(linksTo(graph.Vertices[path[0]].Id), [.. segments], protection)
            : null;
    }
}
