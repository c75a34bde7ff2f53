using Florete.Ncs.Contracts;

namespace Florete.Ncs;

/// <summary>What of a network a request lets its paths use.</summary>
internal sealed class Constraints
{
    private readonly bool[] avoided;
    private readonly HashSet<(int From, int To)> links = [];
    private readonly ulong capacity;

    /// <param name="network">The whole.</param>
    /// <param name="request">Well-formed; its ends are in the network.</param>
    public Constraints(Network network, PathRequest request)
    {
        avoided = new bool[network.Count];
        capacity = (ulong)request.MinCapacityBitsPerSecond;
        foreach (var name in request.Avoid)
        {
            if (name.Split('>') is [var from, var to]) links.Add((network.IndexOf(from), network.IndexOf(to)));
            else if (network.IndexOf(name) is >= 0 and var vertex) avoided[vertex] = true;
        }
        foreach (var path in request.DisjointFrom)
        {
            for (var i = 1; i < path.Count; i++)
            {
                var (from, to) = (network.IndexOf(path[i - 1]), network.IndexOf(path[i]));
                links.Add((from, to));
                links.Add((to, from));
                if (request.Disjoint == Disjointness.Vertex && i < path.Count - 1 && to >= 0) avoided[to] = true;
            }
        }
        // Another path may pass where this one begins or ends.
        avoided[network.IndexOf(request.From)] = avoided[network.IndexOf(request.To)] = false;
    }

    public bool Allow(in Link link) => !avoided[link.From] && !avoided[link.To] && link.Capacity >= capacity && !links.Contains((link.From, link.To));
}
