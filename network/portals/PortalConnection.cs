using System.IO.Pipelines;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Portals;

/// <summary>
/// A connection between two proved identities. Disposing closes it in order (what was written is delivered); <see cref="Abort"/> ends it
/// at once. It survives changes of path, and ends when the peer closes, aborts, or cannot be reached for long.
/// </summary>
public abstract class PortalConnection : IAsyncDisposable
{
    /// <summary>The identity on this side.</summary>
    public abstract SpiffeId Local { get; }

    /// <summary>The proved identity on the other side.</summary>
    public abstract SpiffeId Remote { get; }

    /// <summary>What proved the identity on the other side; null: this kind of connection does not tell.</summary>
    public virtual PeerVerification? RemoteProof => null;

    /// <summary>The vertex where the other side lives.</summary>
    public abstract SpiffeId RemoteVertex { get; }

    /// <summary>
    /// The byte stream, if the mode has one. Completing <see cref="IDuplexPipe.Output"/> is a half-close: the peer reads to the end and
    /// may go on sending. Writers are held back by flow control. Pipes are thread-safe as pipes are: one reader, one writer.
    /// </summary>
    public virtual IDuplexPipe? Stream => null;

    /// <summary>The datagrams, if the mode has them. Used inside turns of its loop only.</summary>
    public virtual DatagramFlow? Datagrams => null;

    /// <summary>Cancelled when the connection has ended, in order or not.</summary>
    public abstract CancellationToken Closed { get; }

    /// <summary>Why it ended, once it has; null for an orderly end.</summary>
    public abstract PortalException? CloseReason { get; }

    /// <summary>Ends the connection at once; the peer sees a reset with the error's code.</summary>
    public abstract void Abort(PortalException reason);

    public abstract ValueTask DisposeAsync();
}

/// <summary>
/// Unreliable, unordered, bounded packets of a connection; the form in which a layer uses the layers below it. Loop-affine: call it, and
/// be called, inside turns of <see cref="Loop"/>.
/// </summary>
public abstract class DatagramFlow
{
    public abstract EventLoop Loop { get; }

    /// <summary>Where packets for <see cref="Send"/> are rented from, and received ones return to.</summary>
    public abstract PacketPool Pool { get; }

    /// <summary>Largest datagram that <see cref="Send"/> takes, in bytes.</summary>
    public abstract int MaxDatagramBytes { get; }

    /// <summary>Largest datagram that travels in one piece on the medium, so that one loss on the medium loses only itself.</summary>
    public abstract int UnsegmentedDatagramBytes { get; }

    /// <summary>What has been measured lately.</summary>
    public abstract FlowQuality Quality { get; }

    /// <summary>What came from the peer so far; null: the medium does not count. For users that report it to the peer.</summary>
    public virtual FlowTally? Tally => null;

    /// <summary>Receives arriving datagrams, and news of quality. Until it is set, arriving datagrams are dropped.</summary>
    public IDatagramSink? Sink { get; set; }

    /// <summary>
    /// Takes ownership of the packet and queues it in the class's queue; what does not fit is dropped and counted. Queues are sent at
    /// the end of the turn. Bytes before the packet's start (headroom) may be overwritten.
    /// </summary>
    public abstract void Send(PacketBuffer packet, TrafficClass trafficClass);
}

/// <summary>The user of a <see cref="DatagramFlow"/>.</summary>
public interface IDatagramSink
{
    /// <summary>An authenticated datagram; the sink owns the packet now.</summary>
    void OnDatagram(PacketBuffer packet);

    /// <summary>The quality changed enough to matter (damped by the flow).</summary>
    void OnQualityChanged();
}

/// <param name="Received">Datagrams received since the connection began.</param>
/// <param name="Missing">Gaps before the newest of them: lost, or still on the way; sinks when a late one arrives.</param>
public readonly record struct FlowTally(ulong Received, ulong Missing);

/// <summary>Measured properties of a datagram flow.</summary>
/// <param name="RoundTrip">Smoothed round trip time; null: not measured yet.</param>
/// <param name="Loss">Fraction of datagrams lost lately in the sending direction, 0 to 1.</param>
/// <param name="CapacityBitsPerSecond">Capacity in the sending direction, configured or estimated; null: unknown.</param>
public readonly record struct FlowQuality(TimeSpan? RoundTrip, double Loss, long? CapacityBitsPerSecond);
