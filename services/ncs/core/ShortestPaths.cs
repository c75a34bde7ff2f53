namespace Florete.Ncs;

/// <summary>Shortest paths from one vertex over all links, as the vertices of the layer forward: Dijkstra's algorithm, and how many equal ones there are.</summary>
internal sealed class ShortestPaths
{
    public const long Unreachable = long.MaxValue;

    // Between two looks at the time.
    private const int Stride = 256;

    private readonly byte[] paths;

    private ShortestPaths(int vertices)
    {
        Distance = new long[vertices];
        paths = new byte[vertices];
        Array.Fill(Distance, Unreachable);
    }

    public long[] Distance { get; }

    public static ShortestPaths From(Network network, int root, CancellationToken cancellationToken)
    {
        var result = new ShortestPaths(network.Count);
        var settled = new bool[network.Count];
        var queue = new PriorityQueue<int, long>();
        result.Distance[root] = 0;
        result.paths[root] = 1;
        queue.Enqueue(root, 0);
        for (var steps = 0; queue.TryDequeue(out var vertex, out _); steps++)
        {
            if (steps % Stride == 0) cancellationToken.ThrowIfCancellationRequested();
            if (settled[vertex]) continue;
            // Metrics are at least 1: whoever adds to the count of this vertex is settled already.
            settled[vertex] = true;
            foreach (ref readonly var link in network.LinksOf(vertex))
            {
                var distance = result.Distance[vertex] + link.Metric;
                ref var known = ref result.Distance[link.To];
                if (distance > known) continue;
                if (distance == known)
                {
                    result.paths[link.To] = 2;
                    continue;
                }
                known = distance;
                result.paths[link.To] = result.paths[vertex];
                queue.Enqueue(link.To, distance);
            }
        }
        return result;
    }

    /// <summary>Exactly one path is shortest.</summary>
    public bool IsOnlyOne(int vertex) => paths[vertex] == 1;
}
