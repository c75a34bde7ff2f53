using Florete.Coordination.Contracts;
using Topology = Florete.Coordination.Contracts.Topology;
using TopologyVertex = Florete.Coordination.Contracts.TopologyVertex;

namespace Florete.Proxy.Coordination;

/// <summary>The directory's topology as it is said to the program of this node.</summary>
internal static class TopologyAnswer
{
    // What a vertex says of its links is its own word; the answer stays well-formed.
    private const uint All = 1_000_000;

    public static Topology Of(Layers.Topology topology) => new([.. topology.Vertices.OrderBy(static v => v.Id).Select(static v => new TopologyVertex(
        v.Id.Name,
        [.. v.Adjacencies.Select(static a => new TopologyLink(a.Neighbour.Name, a.MetricMicroseconds, Math.Min(All, a.LossPartsPerMillion), a.CapacityBitsPerSecond))]))]);
}
