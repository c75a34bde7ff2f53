using Florete.Identities;

namespace Florete.Layers;

/// <summary>The standing adjacencies to one neighbour. Packets take the best; the others wait for it to go.</summary>
internal sealed class NeighbourLinks(SpiffeId id)
{
    public SpiffeId Id { get; } = id;

    public List<Adjacency> All { get; } = [];

    /// <summary>Null: the neighbour is not reached directly now.</summary>
    public Adjacency? Best { get; private set; }

    public void ChooseBest()
    {
        Best = null;
        foreach (var adjacency in All)
        {
            // Equal metrics: the newest, since the older one may be the half-dead one that it replaces.
            if (Best is null || adjacency.MetricMicroseconds <= Best.MetricMicroseconds) Best = adjacency;
        }
    }
}

/// <summary>What a repair withstands.</summary>
internal enum Protection
{
    /// <summary>Loss of the link to the next hop.</summary>
    Link,

    /// <summary>Loss of the next hop with all its links.</summary>
    Vertex,
}

/// <summary>The way around a lost next hop, computed beforehand (TI-LFA, RFC 9855).</summary>
/// <param name="FirstHop">Where the repaired packet goes.</param>
/// <param name="Segments">What is pushed, the top first; may be empty (a plain loop-free alternate).</param>
/// <param name="Protection">What it withstands.</param>
internal sealed record Repair(NeighbourLinks FirstHop, Label[] Segments, Protection Protection);

/// <summary>How packets with one node segment go on.</summary>
internal sealed class Route(TopologyVertex vertex, NeighbourLinks[] nextHops)
{
    public SpiffeId Id { get; } = vertex.Id;

    public Label Segment { get; } = vertex.Segment;

    /// <summary>Of equal cost; at least one.</summary>
    public NeighbourLinks[] NextHops { get; } = nextHops;

    /// <summary>For when the only next hop is lost; null: none, or not computed yet, or other next hops stand in.</summary>
    public Repair? Repair { get; set; }

    /// <summary>For an adjacency segment to this vertex whose link is lost.</summary>
    public Repair? LinkRepair { get; set; }

    public required long MetricMicroseconds { get; init; }

    public required int Hops { get; init; }

    public required uint LossPartsPerMillion { get; init; }

    public required ulong CapacityBitsPerSecond { get; init; }
}
