using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// One standing link to a neighbour, as the forwarding engine uses it: made by the connection manager, gone when the link is down.
/// Loop-affine. Its flow's sink is the adjacency itself.
/// </summary>
public sealed class Adjacency : IDatagramSink
{
    /// <param name="neighbour">The vertex at the other end.</param>
    /// <param name="segment">The adjacency segment, from <see cref="Label.Adjacencies"/>, unique at this vertex.</param>
    /// <param name="flow">The link's datagrams; on the loop of the vertex.</param>
    /// <param name="connection">The connection that carries them; null in tests.</param>
    /// <param name="underlay">Which underlay of this vertex carries the link.</param>
    public Adjacency(SpiffeId neighbour, Label segment, DatagramFlow flow, PortalConnection? connection = null, int underlay = 0)
    {
        if (!Label.Adjacencies.Contains(segment)) throw new ArgumentOutOfRangeException(nameof(segment), segment, "Not an adjacency segment.");
        Neighbour = neighbour;
        Segment = segment;
        Flow = flow;
        Connection = connection;
        Underlay = underlay;
        flow.Sink = this;
    }

    public SpiffeId Neighbour { get; }

    public Label Segment { get; }

    public DatagramFlow Flow { get; }

    public PortalConnection? Connection { get; }

    public int Underlay { get; }

    /// <summary>Cost in the direction to the neighbour, damped: what is advertised; at least 1.</summary>
    public uint MetricMicroseconds { get; set; } = 1;

    public uint LossPartsPerMillion { get; set; }

    /// <summary>0: unknown.</summary>
    public ulong CapacityBitsPerSecond { get; set; }

    /// <summary>Datagrams that came while no engine had the adjacency.</summary>
    public long DroppedWithoutEngine { get; private set; }

    internal ForwardingEngine? Engine { get; set; }

    /// <summary>News of quality, for whoever keeps the metric.</summary>
    internal Action<Adjacency>? QualityChanged { get; set; }

    /// <summary>As the directory advertises it.</summary>
    public TopologyAdjacency ToAdvertise() => new(Neighbour, Segment, MetricMicroseconds, LossPartsPerMillion, CapacityBitsPerSecond);

    void IDatagramSink.OnDatagram(PacketBuffer packet)
    {
        if (Engine is { } engine)
        {
            engine.Receive(packet, this);
            return;
        }
        DroppedWithoutEngine++;
        packet.Return();
    }

    void IDatagramSink.OnQualityChanged() => QualityChanged?.Invoke(this);

    public override string ToString() => $"{Neighbour} by {Segment}";
}
