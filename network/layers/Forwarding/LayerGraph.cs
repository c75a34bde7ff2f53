using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// A topology in arrays, for shortest paths: vertices by index in the order of their identities, edges of one vertex side by side.
/// Edges that only one end advertises are left out; of parallel ones the cheapest stays. Immutable.
/// </summary>
internal sealed class LayerGraph
{
    private readonly Dictionary<SpiffeId, int> indexes;
    private readonly int[] firstEdge;

    public LayerGraph(Topology topology)
    {
        var vertices = topology.Vertices.ToArray();
        Array.Sort(vertices, static (a, b) => a.Id.CompareTo(b.Id));
        Vertices = vertices;
        indexes = new Dictionary<SpiffeId, int>(vertices.Length);
        for (var v = 0; v < vertices.Length; v++) indexes.Add(vertices[v].Id, v);

        var cheapest = new Dictionary<(int From, int To), TopologyAdjacency>();
        for (var v = 0; v < vertices.Length; v++)
        {
            foreach (var adjacency in vertices[v].Adjacencies)
            {
                if (!indexes.TryGetValue(adjacency.Neighbour, out var to) || to == v) continue;
                if (cheapest.TryGetValue((v, to), out var other) && other.MetricMicroseconds <= adjacency.MetricMicroseconds) continue;
                cheapest[(v, to)] = adjacency;
            }
        }
        var edges = cheapest.Where(e => cheapest.ContainsKey((e.Key.To, e.Key.From))).OrderBy(static e => e.Key).ToArray();
        firstEdge = new int[vertices.Length + 1];
        Edges = new Edge[edges.Length];
        for (var e = 0; e < edges.Length; e++)
        {
            var ((from, to), adjacency) = edges[e];
            firstEdge[from + 1] = e + 1;
            Edges[e] = new Edge(to, Cost(adjacency), Cost(cheapest[(to, from)]), adjacency);
        }
        for (var v = 1; v <= vertices.Length; v++) firstEdge[v] = Math.Max(firstEdge[v], firstEdge[v - 1]);
    }

    public TopologyVertex[] Vertices { get; }

    public int Count => Vertices.Length;

    public Edge[] Edges { get; }

    /// <summary>-1: not in the graph.</summary>
    public int IndexOf(SpiffeId vertex) => indexes.GetValueOrDefault(vertex, -1);

    public ReadOnlySpan<Edge> EdgesOf(int vertex) => Edges.AsSpan(firstEdge[vertex]..firstEdge[vertex + 1]);

    /// <summary>False also where one of them is not in the graph.</summary>
    public bool TryFindEdge(SpiffeId from, SpiffeId to, out Edge found)
    {
        found = default;
        return indexes.TryGetValue(from, out var begin) && indexes.TryGetValue(to, out var end) && TryFindEdge(begin, end, out found);
    }

    public bool TryFindEdge(int from, int to, out Edge found)
    {
        foreach (ref readonly var edge in EdgesOf(from))
        {
            if (edge.To != to) continue;
            found = edge;
            return true;
        }
        found = default;
        return false;
    }

    private static uint Cost(TopologyAdjacency adjacency) => Math.Max(1, adjacency.MetricMicroseconds);
}

/// <param name="To">Index of the other end.</param>
/// <param name="Cost">Metric towards it; at least 1, so that paths have no free cycles.</param>
/// <param name="CostBack">Metric in the other direction.</param>
/// <param name="Adjacency">What was advertised.</param>
internal readonly record struct Edge(int To, uint Cost, uint CostBack, TopologyAdjacency Adjacency);
