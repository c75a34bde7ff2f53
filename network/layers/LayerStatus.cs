using Florete.Identities;

namespace Florete.Layers;

/// <summary>Settings of the parts of a vertex.</summary>
public sealed record LayerVertexOptions
{
    public DirectoryOptions Directory { get; init; } = new();

    public ForwardingOptions Forwarding { get; init; } = new();

    public TransportOptions Transport { get; init; } = new();

    public ConnectionManagerOptions Links { get; init; } = new();
}

/// <summary>A vertex at one moment.</summary>
/// <param name="Forwarding">Adjacencies and next hops.</param>
/// <param name="Packets">What became of packets; live counters.</param>
/// <param name="Directory">What is known of the layer.</param>
/// <param name="Services">What is published where, as far as it can be reached.</param>
/// <param name="OutOfReach">What is published where no path leads now.</param>
/// <param name="Neighbours">Links that stand or are to be formed.</param>
/// <param name="Transport">Connections between identities.</param>
public sealed record LayerStatus(
    ForwardingStatus Forwarding, ForwardingCounters Packets, DirectoryStatus Directory, IReadOnlyList<ServiceInstance> Services,
    IReadOnlyList<ServiceInstance> OutOfReach, IReadOnlyList<NeighbourStatus> Neighbours, TransportStatus Transport);

/// <param name="Published">Identities published here.</param>
/// <param name="Connections">QUIC connections.</param>
/// <param name="Counters">Totals by name.</param>
public sealed record TransportStatus(
    IReadOnlyList<SpiffeId> Published, IReadOnlyList<TransportConnectionStatus> Connections, IReadOnlyDictionary<string, long> Counters);

/// <param name="Local">The identity here.</param>
/// <param name="Remote">The identity there; null while it is not proved.</param>
/// <param name="RemoteVertex">Where it lives.</param>
/// <param name="IsCaller">True: opened from here.</param>
/// <param name="Users">Portal connections that it carries.</param>
/// <param name="RoundTrip">Smoothed.</param>
/// <param name="CongestionWindowBytes">What may be under way.</param>
/// <param name="IsLargePackets">Whether it sends large packets now.</param>
public sealed record TransportConnectionStatus(
    SpiffeId? Local, SpiffeId? Remote, SpiffeId RemoteVertex, bool IsCaller, int Users, TimeSpan RoundTrip, long CongestionWindowBytes, bool IsLargePackets);
