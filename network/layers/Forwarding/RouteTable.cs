using System.Numerics;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>Next hops to every reachable vertex of one topology, as seen from one vertex. Repairs are added afterwards, by <see cref="RepairPlanner"/>.</summary>
internal sealed class RouteTable
{
    /// <summary>Equal next hops used for one destination; more spread a flow no better.</summary>
    private const int MaxEqualNextHops = 16;

    private readonly Dictionary<uint, Route> bySegment = [];
    private readonly Dictionary<SpiffeId, Route> byVertex = [];
    private readonly Dictionary<int, Walk> walks = [];

    private RouteTable(Topology topology, LayerGraph graph, int self)
    {
        Topology = topology;
        Graph = graph;
        Self = self;
    }

    public static RouteTable Empty { get; } = new(Topology.Empty, new LayerGraph(Topology.Empty), -1);

    public Topology Topology { get; }

    public LayerGraph Graph { get; }

    /// <summary>Index of the own vertex in the graph; -1: it is not in the topology.</summary>
    public int Self { get; }

    /// <summary>Shortest paths from the own vertex; null without one.</summary>
    public ShortestPaths? Paths { get; private init; }

    public IEnumerable<Route> Routes => byVertex.Values;

    public Route? Find(Label segment) => bySegment.GetValueOrDefault(segment.Value);

    public Route? Find(SpiffeId vertex) => byVertex.GetValueOrDefault(vertex);

    public static RouteTable Compute(Topology topology, SpiffeId self, Func<SpiffeId, NeighbourLinks> neighbour)
    {
        var graph = new LayerGraph(topology);
        var root = graph.IndexOf(self);
        if (root < 0) return new RouteTable(topology, graph, root);
        var paths = ShortestPaths.From(graph, root, Excluded.Nothing);
        var table = new RouteTable(topology, graph, root) { Paths = paths };
        var walk = new Walk(graph, root, paths);
        foreach (var vertex in paths.Order)
        {
            if (vertex == root) continue;
            walk.Visit(vertex);
            var hops = walk.NextHops(vertex).Take(MaxEqualNextHops).Select(n => neighbour(graph.Vertices[n].Id)).ToArray();
            var route = new Route(graph.Vertices[vertex], hops) { Figures = walk.Figures(vertex) };
            table.byVertex.Add(route.Id, route);
            // Two claims of one segment are settled by the directory; until then the first identity has it here as everywhere.
            if (!table.bySegment.TryGetValue(route.Segment.Value, out var other) || route.Id < other.Id) table.bySegment[route.Segment.Value] = route;
        }
        return table;
    }

    /// <summary>
    /// What a decided path is like; computed when somebody asks, for it takes the shortest paths from every vertex in between.
    /// </summary>
    public PathFigures FiguresOf(PathInUse path)
    {
        if (path.Figures is { } known) return known;
        var sum = PathFigures.None;
        foreach (var leg in path.Legs) sum = sum.Then(FiguresOf(leg));
        return path.Figures = sum;
    }

    private PathFigures FiguresOf(Leg leg)
    {
        if (leg.IsLink) return Graph.TryFindEdge(leg.From, leg.To, out var edge) ? PathFigures.Of(edge.Adjacency, edge.Cost) : PathFigures.None;
        if (leg.From == Self) return byVertex[Graph.Vertices[leg.To].Id].Figures;
        if (!walks.TryGetValue(leg.From, out var walk)) walks.Add(leg.From, walk = Walk.From(Graph, leg.From));
        return walk.Figures(leg.To);
    }

    /// <summary>Carries next hops and the worst of each path outwards, vertices by rising distance.</summary>
    private sealed class Walk(LayerGraph graph, int root, ShortestPaths paths)
    {
        private readonly ShortestPaths paths = paths;
        private readonly int[] neighbours = graph.EdgesOf(root).ToArray().Select(static e => e.To).ToArray();
        private readonly int[] hops = new int[graph.Count];
        private readonly uint[] loss = new uint[graph.Count];
        private readonly ulong[] capacity = new ulong[graph.Count];
        private ulong[]?[] nextHops = new ulong[graph.Count][];

        /// <summary>Of another vertex than the own one: only what its paths are like.</summary>
        public static Walk From(LayerGraph graph, int root)
        {
            var walk = new Walk(graph, root, ShortestPaths.From(graph, root, Excluded.Nothing));
            foreach (var vertex in walk.paths.Order)
            {
                if (vertex != root) walk.Visit(vertex);
            }
            walk.nextHops = [];
            return walk;
        }

        public PathFigures Figures(int vertex) => new(paths.Distance[vertex], hops[vertex], loss[vertex], capacity[vertex]);

        public void Visit(int vertex)
        {
            var set = nextHops[vertex] = new ulong[(neighbours.Length + 63) / 64];
            foreach (ref readonly var edge in graph.EdgesOf(vertex))
            {
                var before = edge.To;
                if (paths.Distance[before] == ShortestPaths.Unreachable || paths.Distance[before] + edge.CostBack != paths.Distance[vertex]) continue;
                if (before == root)
                {
                    var at = Array.IndexOf(neighbours, vertex);
                    set[at / 64] |= 1UL << (at % 64);
                }
                else
                {
                    for (var word = 0; word < set.Length; word++) set[word] |= nextHops[before]![word];
                }
                graph.TryFindEdge(before, vertex, out var into);
                hops[vertex] = Math.Max(hops[vertex], hops[before] + 1);
                loss[vertex] = Math.Max(loss[vertex], Math.Max(loss[before], into.Adjacency.LossPartsPerMillion));
                capacity[vertex] = PathFigures.Narrowest(capacity[vertex], PathFigures.Narrowest(capacity[before], into.Adjacency.CapacityBitsPerSecond));
            }
        }

        public IEnumerable<int> NextHops(int vertex)
        {
            var set = nextHops[vertex]!;
            for (var word = 0; word < set.Length; word++)
            {
                for (var bits = set[word]; bits != 0; bits &= bits - 1) yield return neighbours[(word * 64) + BitOperations.TrailingZeroCount(bits)];
            }
        }
    }
}
