using Florete.Identities;

namespace Florete.Portals;

/// <summary>
/// The API of a vertex, the same for every layer, links included (HLD "Vertex"). Identities are all that is needed to reach anything:
/// no address, port or socket shows here. Thread-safe. Layers find the layers below them through this interface alone.
/// </summary>
public interface IPortal
{
    /// <summary>
    /// Makes an identity reachable in this layer. Disposing the publication withdraws it; connections that are open go on.
    /// </summary>
    /// <exception cref="PortalException"><see cref="PortalError.Refused"/>: the bounds do not let this node host the identity.</exception>
    ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default);

    /// <summary>Connects the caller to the target; completes when the target has accepted.</summary>
    /// <exception cref="PortalException">See <see cref="PortalError"/> for what can go wrong.</exception>
    ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default);

    /// <summary>What is published in this layer now, then, if <paramref name="watch"/>, every change until cancelled.</summary>
    IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, CancellationToken cancellationToken = default);
}

/// <summary>Takes connections to a published identity.</summary>
public interface IAcceptor
{
    /// <summary>What it takes: a connection that carries something else is refused before it is asked. Streams alone, unless it says so.</summary>
    ConnectionMode Modes => ConnectionMode.Stream;

    /// <summary>
    /// True: asked inside a turn of the connection's loop (<see cref="IPromptStream.Loop"/>), where everything of the vertex waits for it; only for one
    /// that never blocks, and goes on in turns.
    /// </summary>
    bool RunsInTurn => false;

    /// <summary>
    /// Decides about an arriving connection whose caller is proved and allowed by the bounds. Return to accept; throw
    /// <see cref="PortalException"/> to refuse with that error. Bytes may flow only after it returned. Cancelled when the caller gave up.
    /// Runs outside the turns of the portal's loop unless it <see cref="RunsInTurn"/>; an acceptor that belongs to another loop posts to that.
    /// </summary>
    ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken);
}

/// <summary>What a connection carries.</summary>
[Flags]
public enum ConnectionMode
{
    Stream = 1,
    Datagram = 2,
    Both = Stream | Datagram,
}

/// <summary>QoS class of a connection; the layer maps it to the TC field of its labels (RFC 5462).</summary>
public enum TrafficClass : byte
{
    /// <summary>Bulk data; the default.</summary>
    Bulk = 0,

    /// <summary>Small and urgent: shells, control loops.</summary>
    Interactive = 1,

    /// <summary>The layer's own messages. Not for users.</summary>
    Control = 2,
}

/// <param name="Mode">What the connection shall carry.</param>
/// <param name="Class">Its QoS class.</param>
/// <param name="Instance">The vertex whose instance of the target is wanted; null: the nearest.</param>
/// <param name="Timeout">How long to try; 15 s unless told.</param>
public sealed record ConnectOptions(
    ConnectionMode Mode = ConnectionMode.Stream, TrafficClass Class = TrafficClass.Bulk, SpiffeId? Instance = null, TimeSpan? Timeout = null)
{
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(15);

    public static readonly ConnectOptions Default = new();
}

/// <param name="Target">Only this identity; null: all.</param>
/// <param name="Kind">Only this kind; null: all.</param>
public sealed record ServiceQuery(SpiffeId? Target = null, IdentityKind? Kind = null)
{
    public static readonly ServiceQuery All = new();
}

/// <param name="Service">A published identity.</param>
/// <param name="Vertex">The vertex that publishes it.</param>
/// <param name="IsPresent">False when it has been withdrawn or its vertex has become unreachable.</param>
public sealed record ServiceChange(SpiffeId Service, SpiffeId Vertex, bool IsPresent);

/// <summary>Why a portal could not do what was asked.</summary>
public enum PortalError
{
    /// <summary>Nothing in the layer publishes the target.</summary>
    NotFound = 1,

    /// <summary>The bounds, or a proof of identity, forbid it; the message names the rule or the flaw.</summary>
    Refused = 2,

    /// <summary>It is published, but no path leads there now.</summary>
    Unreachable = 3,

    /// <summary>No answer in time.</summary>
    TimedOut = 4,

    /// <summary>The target was reached and does not take the connection (its own program is down, say).</summary>
    TargetFailed = 5,

    /// <summary>A limit of this vertex or of the peer is reached.</summary>
    LimitReached = 6,

    /// <summary>The connection or the portal was closed.</summary>
    Closed = 7,

    /// <summary>The peer broke the protocol.</summary>
    ProtocolViolation = 8,
}

/// <summary>A refusal by a portal, worded for the person who must act.</summary>
public sealed class PortalException(PortalError error, string message, Exception? inner = null) : Exception(message, inner)
{
    public PortalError Error { get; } = error;
}
