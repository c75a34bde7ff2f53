using Florete.Identities;

namespace Florete.Layers;

/// <summary>Tells news of a failure that this vertex has seen itself from other news (RFC 8333 §4: other news ends the hold).</summary>
internal static class FailureNews
{
    /// <summary>
    /// True if <paramref name="after"/> differs from <paramref name="before"/> only in that links of the lost neighbours are missing.
    /// </summary>
    public static bool IsOnlyAbout(HashSet<SpiffeId> lost, SpiffeId self, Topology before, Topology after)
    {
        foreach (var vertex in after.Vertices)
        {
            if (before.Find(vertex.Id) is not { } former || former.Segment != vertex.Segment) return false;
            var advertised = former.Adjacencies.Select(Key).ToHashSet();
            foreach (var adjacency in vertex.Adjacencies)
            {
                if (!advertised.Remove(Key(adjacency))) return false;
            }
            foreach (var (neighbour, _, _) in advertised)
            {
                // A whole vertex may be lost, with links that this vertex has no part in.
                if (!lost.Contains(neighbour) && !lost.Contains(vertex.Id)) return false;
            }
        }
        foreach (var vertex in before.Vertices)
        {
            if (after.Find(vertex.Id) is null && !lost.Contains(vertex.Id)) return false;
        }
        return after.Find(self) is not null;
    }

    /// <summary>True if two vertices that were linked before are not linked after.</summary>
    public static bool HasLoss(Topology before, Topology after)
    {
        foreach (var vertex in before.Vertices)
        {
            if (vertex.Adjacencies.Count == 0) continue;
            if (after.Find(vertex.Id) is not { } now) return true;
            foreach (var adjacency in vertex.Adjacencies)
            {
                var isThere = false;
                foreach (var other in now.Adjacencies) isThere |= other.Neighbour == adjacency.Neighbour;
                if (!isThere) return true;
            }
        }
        return false;
    }

    private static (SpiffeId Neighbour, Label Segment, uint Metric) Key(TopologyAdjacency adjacency) =>
        (adjacency.Neighbour, adjacency.Segment, adjacency.MetricMicroseconds);
}
