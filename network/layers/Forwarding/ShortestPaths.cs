namespace Florete.Layers;

/// <summary>What a run of <see cref="ShortestPaths"/> leaves out.</summary>
/// <param name="Vertex">This vertex with all its links; -1: none.</param>
/// <param name="LinkFrom">One end of this link, both directions; -1: none.</param>
/// <param name="LinkTo">Its other end.</param>
internal readonly record struct Excluded(int Vertex, int LinkFrom, int LinkTo)
{
    public static readonly Excluded Nothing = new(-1, -1, -1);

    public static Excluded OneVertex(int vertex) => new(vertex, -1, -1);

    public static Excluded OneLink(int a, int b) => new(-1, a, b);

    public bool Has(int from, int to) => to == Vertex || (from == LinkFrom && to == LinkTo) || (from == LinkTo && to == LinkFrom);
}

/// <summary>Shortest paths from (or to) one vertex: Dijkstra's algorithm. The result is the same whatever the order of equal distances.</summary>
internal sealed class ShortestPaths
{
    public const long Unreachable = long.MaxValue;

    private ShortestPaths(int vertices)
    {
        Distance = new long[vertices];
        Parent = new int[vertices];
        Order = new List<int>(vertices);
        Array.Fill(Distance, Unreachable);
        Array.Fill(Parent, -1);
    }

    /// <summary>By vertex; <see cref="Unreachable"/> if there is no path.</summary>
    public long[] Distance { get; }

    /// <summary>The vertex before this one on a shortest path from the root; the least index among equals; -1 for the root.</summary>
    public int[] Parent { get; }

    /// <summary>Reachable vertices by rising distance, the root first.</summary>
    public List<int> Order { get; }

    public static ShortestPaths From(LayerGraph graph, int root, Excluded excluded) => Run(graph, root, excluded, reverse: false);

    /// <summary>Distances of all vertices <em>to</em> the root.</summary>
    public static ShortestPaths To(LayerGraph graph, int root) => Run(graph, root, Excluded.Nothing, reverse: true);

    private static ShortestPaths Run(LayerGraph graph, int root, Excluded excluded, bool reverse)
    {
        var paths = new ShortestPaths(graph.Count);
        var settled = new bool[graph.Count];
        var queue = new PriorityQueue<int, long>();
        paths.Distance[root] = 0;
        queue.Enqueue(root, 0);
        while (queue.TryDequeue(out var vertex, out _))
        {
            if (settled[vertex]) continue;
            settled[vertex] = true;
            paths.Order.Add(vertex);
            foreach (ref readonly var edge in graph.EdgesOf(vertex))
            {
                if (excluded.Has(vertex, edge.To)) continue;
                var distance = paths.Distance[vertex] + (reverse ? edge.CostBack : edge.Cost);
                ref var known = ref paths.Distance[edge.To];
                if (distance > known || (distance == known && vertex > paths.Parent[edge.To])) continue;
                paths.Parent[edge.To] = vertex;
                if (distance == known) continue;
                known = distance;
                queue.Enqueue(edge.To, distance);
            }
        }
        return paths;
    }
}
