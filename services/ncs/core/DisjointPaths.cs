using Florete.Ncs.Contracts;

namespace Florete.Ncs;

/// <summary>
/// A number of disjoint paths whose metrics have the least sum: a flow of least cost, one unit for each path, grown by shortest paths in what is left (Suurballe's algorithm for two).
/// One path is the shortest; of equal ones it has the fewest links.
/// </summary>
internal sealed class DisjointPaths
{
    // Costs: the metric first, then the number of links. 2^16 is more than a path has links; 4 096 metrics of 32 bits times that fit 63 bits.
    private const int MetricShift = 16;
    private const int Stride = 256;

    // Each vertex is two nodes, 2v where paths come in and 2v + 1 where they go out, and what lies between says how many may pass.
    private readonly List<Arc> arcs = [];
    private readonly List<int>[] outgoing;
    private readonly int source;
    private readonly int sink;

    private DisjointPaths(Network network, Constraints constraints, int from, int to, int count, Disjointness disjoint)
    {
        outgoing = new List<int>[2 * network.Count];
        for (var node = 0; node < outgoing.Length; node++) outgoing[node] = [];
        (source, sink) = ((2 * from) + 1, 2 * to);
        for (var v = 0; v < network.Count; v++) Add(2 * v, (2 * v) + 1, 0, disjoint == Disjointness.Link || v == from || v == to ? count : 1);
        foreach (ref readonly var link in network.Links.AsSpan())
        {
            if (constraints.Allow(link)) Add((2 * link.From) + 1, 2 * link.To, ((long)link.Metric << MetricShift) + 1, 1);
        }
    }

    /// <summary>Null: there are not so many. Two paths never use a link in both directions: without it both would be shorter.</summary>
    public static IReadOnlyList<IReadOnlyList<int>>? Find(
        Network network, Constraints constraints, int from, int to, int count, Disjointness disjoint, CancellationToken cancellationToken)
    {
        var paths = new DisjointPaths(network, constraints, from, to, count, disjoint);
        var potential = new long[paths.outgoing.Length];
        for (var found = 0; found < count; found++)
        {
            if (!paths.Augment(potential, cancellationToken)) return null;
        }
        return [.. Enumerable.Range(0, count).Select(_ => paths.TakePath()).OrderBy(path => Metric(network, path))];
    }

    public static long Metric(Network network, IReadOnlyList<int> path)
    {
        long sum = 0;
        for (var i = 1; i < path.Count; i++) sum += network.Find(path[i - 1], path[i]).Metric;
        return sum;
    }

    private void Add(int from, int to, long cost, int capacity)
    {
        outgoing[from].Add(arcs.Count);
        arcs.Add(new Arc(to, cost) { Left = capacity });
        outgoing[to].Add(arcs.Count);
        arcs.Add(new Arc(from, -cost));
    }

    // Dijkstra's algorithm over reduced costs (Johnson): the potentials of the last run make costs against a path's direction positive.
    private bool Augment(long[] potential, CancellationToken cancellationToken)
    {
        var distance = new long[outgoing.Length];
        var into = new int[outgoing.Length];
        var settled = new bool[outgoing.Length];
        Array.Fill(distance, long.MaxValue);
        var queue = new PriorityQueue<int, long>();
        distance[source] = 0;
        queue.Enqueue(source, 0);
        for (var steps = 0; queue.TryDequeue(out var node, out _); steps++)
        {
            if (steps % Stride == 0) cancellationToken.ThrowIfCancellationRequested();
            if (settled[node]) continue;
            settled[node] = true;
            foreach (var arc in outgoing[node])
            {
                if (arcs[arc].Left == 0) continue;
                var to = arcs[arc].To;
                var reached = distance[node] + arcs[arc].Cost + potential[node] - potential[to];
                if (reached >= distance[to]) continue;
                (distance[to], into[to]) = (reached, arc);
                queue.Enqueue(to, reached);
            }
        }
        if (distance[sink] == long.MaxValue) return false;
        for (var node = 0; node < potential.Length; node++) potential[node] += Math.Min(distance[node], distance[sink]);
        for (var node = sink; node != source; node = arcs[into[node] ^ 1].To)
        {
            arcs[into[node]].Left--;
            arcs[into[node] ^ 1].Left++;
        }
        return true;
    }

    // Of least cost, so without a cycle: whichever way is taken ends at the sink.
    private List<int> TakePath()
    {
        var path = new List<int> { source / 2 };
        for (var node = source; node != sink;)
        {
            // What went along an arc is what may come back.
            var arc = outgoing[node].First(a => a % 2 == 0 && arcs[a ^ 1].Left > 0);
            arcs[arc ^ 1].Left--;
            node = arcs[arc].To;
            if (node % 2 == 0) path.Add(node / 2);
        }
        return path;
    }

    private sealed class Arc(int to, long cost)
    {
        public int To { get; } = to;

        public long Cost { get; } = cost;

        /// <summary>Units that may still go this way.</summary>
        public int Left { get; set; }
    }
}
