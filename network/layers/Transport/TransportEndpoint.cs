using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// The transport endpoint of a vertex: QUIC connections between identities of this vertex and those of others, over the forwarding
/// engine. This part keeps the connections and gives packets to them. Loop-affine.
/// </summary>
internal sealed partial class TransportEndpoint : ILocalReceiver, IDisposable
{
    // A header of ours or a key frame.
    private const int HeaderChunkBytes = 2048;
    private const int KeptHeaderChunks = 64;
    private const int KeptChunks = 256;

    private readonly Dictionary<ConnectionId, TransportConnection> byId = [];
    private readonly Dictionary<string, TransportConnection> bySecret = [];
    private readonly Dictionary<TransportKey, TransportConnection> shared = [];
    private readonly Dictionary<SpiffeId, Publication> published = [];
    private readonly HashSet<TransportConnection> connections = [];
    private readonly Dictionary<TransportConnection, SpiffeId> handshakes = [];
    private readonly IServiceDirectory directory;
    private readonly InstanceChoice instances;

    public TransportEndpoint(
        TransportOptions options, EventLoop loop, PacketPool pool, ForwardingEngine forwarding, IServiceDirectory directory,
        IPeerVerifier verifier, IBounds bounds, ILogger logger, LayerSecurity? security = null)
    {
        options.Validate();
        (Options, Loop, Pool, Forwarding, this.directory, Verifier, Bounds) = (options, loop, pool, forwarding, directory, verifier, bounds);
        security ??= new LayerSecurity(new RevocationList());
        Revocations = security.Revocations;
        Log = new TransportLog(logger, security.Events);
        instances = new InstanceChoice(forwarding.Self);
        absenceTimer = loop.CreateTimer(LeaveAbsent);
        QuicOptions = new QuicOptions
        {
            Alpn = TransportOptions.Protocol,
            MaxPacketBytes = LayerSizes.LargePayloadBytes,
            ProbedPacketBytes = LayerSizes.PayloadSteps,
            StreamWindowBytes = options.StreamWindowBytes,
            ConnectionWindowBytes = ((long)options.MaxStreams * options.StreamWindowBytes) + options.MaxWindowGrowthBytes,
            // The writer's own limit is lower; this only has to be above it.
            SendBufferBytes = 1L << 30,
            MaxPeerStreams = options.MaxStreams,
            HandshakeTimeout = options.HandshakeTimeout,
            IdleTimeout = options.IdleTimeout,
            KeepAlive = options.KeepAlive,
            CongestionControl = options.CongestionControl,
            InitialRoundTrip = options.InitialRoundTrip,
        };
        forwarding.SetReceiver(PayloadType.Quic, this);
        forwarding.SetReceiver(PayloadType.SealedDatagram, Datagrams);
        forwarding.PathsChanged += Datagrams.OnPathsChanged;
        forwarding.PathsChanged += OnPathsChanged;
        forwarding.LinksLost += OnLinksLost;
        bounds.Changed += OnBoundsChanged;
    }

    public TransportOptions Options { get; }

    public EventLoop Loop { get; }

    public PacketPool Pool { get; }

    public ForwardingEngine Forwarding { get; }

    public IPeerVerifier Verifier { get; }

    public IBounds Bounds { get; }

    /// <summary>What is revoked; <see cref="OnRevocationsChanged"/> is called when that changes.</summary>
    public RevocationList Revocations { get; }

    public TransportLog Log { get; }

    public QuicOptions QuicOptions { get; }

    public QuicEndpointSecret Secret { get; } = new();

    public CredentialStore Credentials { get; } = new();

    public SendChunkPool Chunks { get; } = new(keptChunks: KeptChunks);

    public SendChunkPool HeaderChunks { get; } = new(HeaderChunkBytes, KeptHeaderChunks);

    public TransportCounters Counters { get; } = new();

    public DatagramReceiver Datagrams { get; } = new();

    public IReadOnlyCollection<TransportConnection> Connections => connections;

    public IReadOnlyCollection<Publication> Publications => published.Values;

    public void OnPacket(PacketBuffer payload, in PacketHeader header)
    {
        Dispatch(payload.Span, header);
        payload.Return();
    }

    public Publication? FindPublished(SpiffeId identity) => published.GetValueOrDefault(identity);

    /// <summary>Makes an identity reachable; false: it is published here already.</summary>
    public bool TryPublish(Publication publication)
    {
        if (!published.TryAdd(publication.Identity.Id, publication)) return false;
        directory.Announce(publication.Identity);
        return true;
    }

    public void Withdraw(Publication publication)
    {
        if (published.GetValueOrDefault(publication.Identity.Id) != publication) return;
        published.Remove(publication.Identity.Id);
        directory.Withdraw(publication.Identity.Id);
    }

    public void AddId(ConnectionId id, TransportConnection connection)
    {
        byId[id] = connection;
        connection.Ids.Add(id);
    }

    public void RemoveId(ConnectionId id, TransportConnection connection)
    {
        if (connection.Ids.Remove(id)) byId.Remove(id);
    }

    public void AddSecret(TransportConnection connection) => bySecret.TryAdd(connection.SecretName!, connection);

    public TransportConnection? FindBySecret(string name) => bySecret.GetValueOrDefault(name);

    public void OnHandshakeOver(TransportConnection connection) => handshakes.Remove(connection);

    /// <summary>The connection takes no new streams.</summary>
    public void OnClosing(TransportConnection connection)
    {
        if (connection.Key is { } key && shared.GetValueOrDefault(key) == connection) shared.Remove(key);
    }

    public void Remove(TransportConnection connection)
    {
        OnClosing(connection);
        OnHandshakeOver(connection);
        connections.Remove(connection);
        if (connection.SecretName is { } secret && bySecret.GetValueOrDefault(secret) == connection) bySecret.Remove(secret);
        foreach (var id in connection.Ids) byId.Remove(id);
        connection.Ids.Clear();
    }

    /// <summary>Paths or vertices have changed: connections to a vertex that was restarted since are dead, and say so at once.</summary>
    public void OnDirectoryChanged()
    {
        foreach (var connection in connections.ToArray())
        {
            if (directory.IncarnationOf(connection.RemoteVertex) is not { } incarnation) continue;
            if (connection.Incarnation is { } known && known != incarnation)
                connection.Close(PortalError.Unreachable, $"{connection.RemoteVertex} was restarted.");
            connection.Incarnation ??= incarnation;
        }
    }

    public TransportStatus Status() => new(
        [.. published.Keys],
        [.. connections.Select(static c => c.Status())],
        new Dictionary<string, long>(Datagrams.Counters.All())
        {
            ["opened"] = Counters.Opened,
            ["accepted"] = Counters.Accepted,
            ["failed"] = Counters.Failed,
            ["refused"] = Counters.Refused,
            ["unproved"] = Counters.Unproved,
            ["closedRevoked"] = Counters.ClosedRevoked,
            ["strays"] = Counters.Strays,
            ["overLimit"] = Counters.OverLimit,
            ["malformed"] = Counters.Malformed,
        });

    public void Dispose()
    {
        Bounds.Changed -= OnBoundsChanged;
        Forwarding.PathsChanged -= Datagrams.OnPathsChanged;
        Forwarding.PathsChanged -= OnPathsChanged;
        Forwarding.LinksLost -= OnLinksLost;
        absenceTimer.Cancel();
        foreach (var connection in connections.ToArray())
        {
            connection.Close(PortalError.Closed, "The vertex is shutting down.");
            connection.OnTurnEnd();
            connection.Retire();
        }
        Credentials.Dispose();
    }

    private void Dispatch(ReadOnlySpan<byte> packet, in PacketHeader header)
    {
        if (!QuicPacketHeader.TryParse(packet, ConnectionId.Bytes, out var quic))
        {
            Counters.Malformed++;
            return;
        }
        if (byId.TryGetValue(quic.Destination, out var connection)) connection.Receive(packet);
        else if (quic.IsInitial) Answer(packet, header);
        else Counters.Strays++;
    }

    private void Answer(ReadOnlySpan<byte> initial, in PacketHeader header)
    {
        if (!Forwarding.TryResolve(header.Backward, out var callerVertex))
        {
            // Its vertex record is still on the way to us; the caller will send the packet again.
            Counters.Strays++;
            return;
        }
        if (connections.Count >= Options.MaxConnections || handshakes.Count >= Options.MaxHandshakes
            || handshakes.Values.Count(v => v == callerVertex) >= Options.MaxHandshakesPerVertex)
        {
            Counters.OverLimit++;
            return;
        }
        var connection = TransportConnection.Answer(this, callerVertex, header.Class, initial);
        if (connection is null)
        {
            Counters.Malformed++;
            return;
        }
        Add(connection);
        if (!connection.IsConfirmed) handshakes[connection] = callerVertex;
        connection.WriteAtEndOfTurn();
    }

    private void Add(TransportConnection connection)
    {
        connections.Add(connection);
        connection.Incarnation = directory.IncarnationOf(connection.RemoteVertex);
    }

    /// <summary>Ends what is revoked now; inside a turn, after the directory has dropped what vertices said that are revoked.</summary>
    public void OnRevocationsChanged()
    {
        foreach (var connection in connections.Where(static c => c.IsConfirmed).ToArray())
        {
            if (connection.Revoked() is not { } revoked) continue;
            Counters.ClosedRevoked++;
            Log.Revoked(connection.Local, connection.Remote, connection.RemoteVertex, revoked);
            connection.Close(PortalError.Refused, revoked);
        }
    }

    /// <summary>Why a vertex has nothing to say any more: it is revoked, and no record of it under a newer SVID is here. Null: it has.</summary>
    public string? RevokedVertex(SpiffeId vertex) =>
        Revocations.Find(vertex) is { } revocation && vertex != Forwarding.Self && directory.IncarnationOf(vertex) is null ? revocation.Describe(vertex.ToString()) : null;

    private void OnLinksLost()
    {
        foreach (var connection in connections.ToArray()) connection.OnLinksLost();
    }

    private void OnBoundsChanged() => Loop.Post(() =>
    {
        foreach (var connection in connections.Where(static c => c.IsConfirmed).ToArray())
        {
            if (connection.Allowed() is { IsAllowed: false } refused) connection.Close(PortalError.Refused, refused.Refusal!);
        }
    });
}
