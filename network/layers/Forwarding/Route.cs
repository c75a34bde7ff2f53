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

/// <summary>What a path is like, as the topology says.</summary>
/// <param name="MetricMicroseconds">Sum of the metrics.</param>
/// <param name="Hops">Links to pass; of equal paths the most.</param>
/// <param name="LossPartsPerMillion">Of the worst link.</param>
/// <param name="CapacityBitsPerSecond">Of the narrowest known; 0: none is.</param>
internal sealed record PathFigures(long MetricMicroseconds, int Hops, uint LossPartsPerMillion, ulong CapacityBitsPerSecond)
{
    public static PathFigures None { get; } = new(0, 0, 0, 0);

    public static PathFigures Of(TopologyAdjacency link, uint cost) => new(cost, 1, link.LossPartsPerMillion, link.CapacityBitsPerSecond);

    public static ulong Narrowest(ulong a, ulong b) => a == 0 ? b : b == 0 ? a : Math.Min(a, b);

    public PathFigures Then(PathFigures next) => new(
        MetricMicroseconds + next.MetricMicroseconds, Hops + next.Hops, Math.Max(LossPartsPerMillion, next.LossPartsPerMillion),
        Narrowest(CapacityBitsPerSecond, next.CapacityBitsPerSecond));
}

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

    /// <summary>What packets of this vertex itself take instead; null: nothing else is decided, or what is cannot be used now.</summary>
    public PathInUse? Decided { get; set; }

    /// <summary>Of the best path.</summary>
    public required PathFigures Figures { get; init; }
}
