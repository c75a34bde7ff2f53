using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Echo and trace, and answers to packets that cannot go on (docs/protocols/oam.md).</summary>
public sealed partial class ForwardingEngine
{
    private static readonly TimeSpan DefaultProbeTimeout = TimeSpan.FromSeconds(1);
    private readonly OamEndpoint oam;

    /// <summary>Another vertex could not pass on a packet of this one. A hint: look for another path, do not close anything for it.</summary>
    public event Action<PacketRefusal>? PacketRefused
    {
        add => oam.Refused += value;
        remove => oam.Refused -= value;
    }

    /// <summary>Asks a vertex for an echo. Call inside a turn.</summary>
    /// <param name="vertex">Whom.</param>
    /// <param name="dataBytes">Size of the data to be returned.</param>
    /// <param name="timeout">1 s unless told.</param>
    /// <param name="flowLabel">Chooses among equal paths.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="PortalException"><see cref="PortalError.LimitReached"/>: too many are outstanding.</exception>
    public Task<TraceHop> PingAsync(
        SpiffeId vertex, int dataBytes = 0, TimeSpan? timeout = null, uint flowLabel = 0, CancellationToken cancellationToken = default) =>
        oam.PingAsync(vertex, dataBytes, timeout ?? DefaultProbeTimeout, flowLabel, cancellationToken);

    /// <summary>
    /// Names the vertices on the path to a vertex, the vertex itself last. Ends early where a vertex has no path on, or after several silent
    /// ones. Call inside a turn.
    /// </summary>
    /// <param name="vertex">Where to.</param>
    /// <param name="maxHops">1 to 64.</param>
    /// <param name="timeout">Per hop; 1 s unless told.</param>
    /// <param name="flowLabel">Chooses among equal paths; the same for all probes, so that they take one path.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="PortalException"><see cref="PortalError.LimitReached"/>: too many are outstanding.</exception>
    public Task<IReadOnlyList<TraceHop>> TraceAsync(
        SpiffeId vertex, int maxHops = 30, TimeSpan? timeout = null, uint flowLabel = 0, CancellationToken cancellationToken = default) =>
        oam.TraceAsync(vertex, maxHops, timeout ?? DefaultProbeTimeout, flowLabel, cancellationToken);

    /// <summary>Drops a packet that could not go on, and tells its maker if that is another vertex.</summary>
    private SendResult Refuse(PacketBuffer packet, int entries, Adjacency? arrival, DropReason reason, SendResult result)
    {
        if (arrival is not null) oam.AnswerRefused(packet.Span, entries, reason);
        return Drop(packet, reason, result);
    }
}
