namespace Florete.Coordination.Contracts;

/// <summary>What the directory knows of vertices and links, reachable or not.</summary>
public sealed record Topology(IReadOnlyList<TopologyVertex> Vertices)
{
    internal string? Problem()
    {
        foreach (var vertex in Vertices)
        {
            // Null in a list is not told by the serializer.
            if (vertex is null || !CoordinationProtocol.IsName(vertex.Name)) return "A vertex of the topology has no name.";
            foreach (var link in vertex.Links)
            {
                if (link is null || !CoordinationProtocol.IsName(link.Neighbour)) return $"A link of {vertex.Name} has no neighbour.";
                if (link.LossPartsPerMillion > 1_000_000) return $"The link from {vertex.Name} to {link.Neighbour} loses more than all.";
            }
        }
        return null;
    }
}

/// <param name="Name">Of the vertex.</param>
/// <param name="Links">That both ends advertise, in the direction from this vertex.</param>
public sealed record TopologyVertex(string Name, IReadOnlyList<TopologyLink> Links);

/// <summary>One direction of a link, as docs/protocols/directory.md defines the figures.</summary>
/// <param name="Neighbour">Name of the vertex at the other end.</param>
/// <param name="MetricMicroseconds">At least 1.</param>
/// <param name="LossPartsPerMillion">At most 1 000 000.</param>
/// <param name="CapacityBitsPerSecond">0: unknown.</param>
public sealed record TopologyLink(string Neighbour, uint MetricMicroseconds, uint LossPartsPerMillion, ulong CapacityBitsPerSecond);
