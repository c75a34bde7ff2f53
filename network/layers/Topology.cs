using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// The layer as the directory knows it at one moment; immutable. An adjacency counts only when both ends advertise it, so what is
/// listed here has already been checked in both directions.
/// </summary>
public sealed class Topology
{
    private readonly Dictionary<SpiffeId, TopologyVertex> vertices;

    public Topology(IEnumerable<TopologyVertex> vertices) => this.vertices = vertices.ToDictionary(static v => v.Id);

    public static Topology Empty { get; } = new([]);

    public IReadOnlyCollection<TopologyVertex> Vertices => vertices.Values;

    public TopologyVertex? Find(SpiffeId vertex) => vertices.GetValueOrDefault(vertex);
}

/// <param name="Id">The vertex.</param>
/// <param name="Segment">Its node segment.</param>
/// <param name="Adjacencies">Its links that both ends advertise.</param>
public sealed record TopologyVertex(SpiffeId Id, Label Segment, IReadOnlyList<TopologyAdjacency> Adjacencies);

/// <param name="Neighbour">The other end.</param>
/// <param name="Segment">The adjacency segment at the advertising vertex.</param>
/// <param name="MetricMicroseconds">Cost in the direction to the neighbour: delay, with loss priced in; at least 1.</param>
/// <param name="LossPartsPerMillion">Loss in that direction.</param>
/// <param name="CapacityBitsPerSecond">Capacity in that direction; 0: unknown.</param>
public readonly record struct TopologyAdjacency(
    SpiffeId Neighbour, Label Segment, uint MetricMicroseconds, uint LossPartsPerMillion, ulong CapacityBitsPerSecond);
