using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// A vertex: one member of a layer, and the portal that it serves. Composed of the connection manager (links to neighbours, each met
/// through the portal of a layer below), the directory (who is there), the forwarding engine (which way) and the transport endpoint
/// (connections end to end). It knows no medium, so the layers below may be links or layers like itself.
/// </summary>
public sealed partial class LayerVertex : IPortal, IAsyncDisposable
{
    private readonly EventLoop loop;
    private readonly PacketPool pool;
    private readonly HeldIdentity identity;
    private readonly IBounds bounds;
    private readonly RevocationList revocations;
    private readonly ILogger logger;
    private readonly ConnectionManager manager;
    private readonly Directory directory;
    private readonly ForwardingEngine forwarding;
    private readonly TransportEndpoint transport;
    private readonly Dictionary<Adjacency, DirectoryPeer> peers = [];

    private LayerVertex(
        LayerVertexOptions options, EventLoop loop, PacketPool pool, HeldIdentity identity, IReadOnlyList<Underlay> underlays,
        IPeerVerifier verifier, IBounds bounds, IDirectoryCache? cache, ILoggerFactory logs, LayerSecurity security)
    {
        (this.loop, this.pool, this.identity, this.bounds) = (loop, pool, identity, bounds);
        (revocations, logger) = (security.Revocations, logs.CreateLogger("Florete.Vertex"));
        directory = new Directory(options.Directory, loop, identity, verifier, bounds, cache, logs.CreateLogger("Florete.Directory"), security);
        forwarding = new ForwardingEngine(loop, pool, identity.Id, options.Forwarding);
        transport = new TransportEndpoint(
            options.Transport, loop, pool, forwarding, new Services(directory), verifier, bounds, logs.CreateLogger("Florete.Transport"), security);
        manager = new ConnectionManager(loop, identity, underlays, bounds, options.Links, revocations: revocations);
        forwarding.SetReceiver(PayloadType.Directory, new DirectoryReceiver(this));
        manager.AdjacencyUp += OnUp;
        manager.AdjacencyDown += OnDown;
        manager.AdjacencyChanged += OnChanged;
        var neighbours = logs.CreateLogger("Florete.Neighbours");
        manager.DialFailed += (neighbour, reason) => LogDialFailed(neighbours, neighbour, reason);
        directory.RevocationsChanged += OnRevocationsChanged;
        directory.TopologyChanged += OnTopologyChanged;
        OnTopologyChanged();
        SayIfRevoked();
    }

    public SpiffeId Id => identity.Id;

    /// <summary>Makes the vertex and begins to form links; complete when it is published in the layers below.</summary>
    /// <param name="options">Settings of its parts.</param>
    /// <param name="loop">Where everything of the vertex runs; the datagrams of all underlays must be on it.</param>
    /// <param name="pool">The packets of that loop.</param>
    /// <param name="vertex">The identity of the vertex, of kind vertex.</param>
    /// <param name="underlays">The layers below, and which neighbours to dial over each.</param>
    /// <param name="verifier">Proves peers.</param>
    /// <param name="bounds">What is allowed.</param>
    /// <param name="cache">Keeps the directory over restarts; null: not kept.</param>
    /// <param name="logs">For its parts.</param>
    /// <param name="security">What is revoked at this node, and who is told of refusals; null: nothing, nobody.</param>
    /// <param name="cancellationToken">Gives up starting.</param>
    /// <exception cref="ArgumentException">A setting is out of range, or an identity is of the wrong kind.</exception>
    /// <exception cref="PortalException">A layer below refuses the vertex.</exception>
    public static Task<LayerVertex> StartAsync(
        LayerVertexOptions options, EventLoop loop, PacketPool pool, HeldIdentity vertex, IReadOnlyList<Underlay> underlays,
        IPeerVerifier verifier, IBounds bounds, IDirectoryCache? cache, ILoggerFactory logs, LayerSecurity? security = null,
        CancellationToken cancellationToken = default) =>
        loop.RunAsync(async () =>
        {
            var made = new LayerVertex(options, loop, pool, vertex, underlays, verifier, bounds, cache, logs, security ?? new LayerSecurity(new RevocationList()));
            try
            {
                await made.manager.StartAsync(cancellationToken);
                return made;
            }
            catch
            {
                await made.DisposeAsync();
                throw;
            }
        });

    public async ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default) =>
        await loop.RunAsync(() =>
        {
            if (bounds.MayHost(Id, identity.Id) is { IsAllowed: false } refused) throw new PortalException(PortalError.Refused, refused.Refusal!);
            var publication = new Publication(transport, identity, acceptor);
            if (!transport.TryPublish(publication))
                throw new PortalException(PortalError.Refused, $"{identity.Id} is published at {Id} already; one program at a vertex answers for an identity.");
            return Task.FromResult<IAsyncDisposable>(publication);
        });

    public async ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default) =>
        await loop.RunAsync(() => transport.ConnectAsync(caller, target, options, cancellationToken));

    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
        ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // A watcher that does not read loses nothing but its place: it is cut off and asks again.
        var changes = Channel.CreateBounded<ServiceChange>(new BoundedChannelOptions(4096) { FullMode = BoundedChannelFullMode.Wait });
        void OnChange(ServiceChange change)
        {
            if (!Matches(query, change.Service)) return;
            if (!changes.Writer.TryWrite(change))
                changes.Writer.TryComplete(new PortalException(PortalError.LimitReached, "More changes came than were read; discover again."));
        }

        var present = await loop.RunAsync(() =>
        {
            if (watch) directory.ServiceChanged += OnChange;
            return Task.FromResult(directory.Services.Where(i => Matches(query, i.Service)).ToArray());
        });
        try
        {
            foreach (var instance in present) yield return new ServiceChange(instance.Service, instance.Vertex, true);
            if (!watch) yield break;
            await foreach (var change in changes.Reader.ReadAllAsync(cancellationToken)) yield return change;
        }
        finally
        {
            if (watch) loop.Post(() => directory.ServiceChanged -= OnChange);
        }
    }

    /// <summary>Raised inside turns of the loop, after <see cref="Coordination"/> has changed.</summary>
    public event Action? CoordinationChanged
    {
        add => directory.CoordinationChanged += value;
        remove => directory.CoordinationChanged -= value;
    }

    /// <summary>Who could coordinate; inside a turn.</summary>
    public CoordinationView Coordination => directory.Coordination;

    /// <summary>The layer as it is known now; inside a turn.</summary>
    public Topology Topology => directory.Topology;

    /// <summary>Says what the coordinator program of this vertex is (<see cref="Directory.SetCandidacy"/>); inside a turn.</summary>
    public void SetCandidacy(Candidacy? candidacy) => directory.SetCandidacy(candidacy);

    /// <summary>The vertex at this moment, for people; from any thread.</summary>
    public Task<LayerStatus> StatusAsync() => loop.RunAsync(() => Task.FromResult(
        new LayerStatus(forwarding.Status(), forwarding.Counters, directory.Status(), [.. directory.Services], [.. directory.OutOfReach], manager.Status(), transport.Status())));

    /// <summary>Replaces the neighbours to dial over an underlay (<see cref="ConnectionManager.SetNeighboursToDial"/>); from any thread.</summary>
    /// <exception cref="ArgumentException">There is no such underlay, or a neighbour cannot be one; nothing has changed.</exception>
    public Task SetNeighboursToDialAsync(string underlay, IReadOnlyList<SpiffeId> neighbours) => loop.RunAsync(() =>
    {
        manager.SetNeighboursToDial(underlay, neighbours);
        return Task.CompletedTask;
    });

    /// <summary>Replaces the decided paths (<see cref="ForwardingEngine.SetPaths"/>); in force when it completes. From any thread.</summary>
    /// <exception cref="ArgumentException">A path is not one, or there are too many; nothing has changed.</exception>
    public Task SetPathsAsync(IReadOnlyList<DecidedPath> paths) => loop.RunAsync(() =>
    {
        SetPaths(paths);
        return Task.CompletedTask;
    });

    /// <summary>The same inside a turn of the vertex's loop.</summary>
    /// <exception cref="ArgumentException">A path is not one, or there are too many; nothing has changed.</exception>
    public void SetPaths(IReadOnlyList<DecidedPath> paths) => forwarding.SetPaths(paths);

    /// <summary>The decided paths as they are now; inside a turn of the vertex's loop.</summary>
    public IReadOnlyList<DecidedPathStatus> Paths => forwarding.DecidedPaths;

    /// <summary>Hop by hop to the nearest vertex that publishes the target; from any thread.</summary>
    /// <exception cref="PortalException">
    /// NotFound: nothing publishes it, or there is no such vertex. Unreachable: it is known, and no path leads there. LimitReached: too many probes are
    /// under way.
    /// </exception>
    public Task<IReadOnlyList<TraceHop>> TraceAsync(SpiffeId target, CancellationToken cancellationToken = default) => loop.RunAsync(() =>
        forwarding.TraceAsync(target.Kind == IdentityKind.Vertex ? Known(target) : transport.Nearest(target), cancellationToken: cancellationToken));

    /// <summary>Hands in a signed revocation (<see cref="Directory.AnnounceAsync"/>); complete when it is saved and in force here. From any thread.</summary>
    /// <exception cref="IdentityException">It is refused; the message says why, and the remedy.</exception>
    public Task<AnnouncedRevocation> AnnounceAsync(ReadOnlyMemory<byte> message) => loop.RunAsync(() => directory.AnnounceAsync(message.Span));

    public async ValueTask DisposeAsync()
    {
        await loop.RunAsync(() =>
        {
            transport.Dispose();
            return Task.CompletedTask;
        });
        await manager.DisposeAsync();
        await loop.RunAsync(() =>
        {
            directory.Dispose();
            return Task.CompletedTask;
        });
    }

    private static bool Matches(ServiceQuery query, SpiffeId service) =>
        (query.Target is null || query.Target == service) && (query.Kind is null || query.Kind == service.Kind);

    private SpiffeId Known(SpiffeId vertex)
    {
        if (vertex == Id) return vertex;
        if (directory.Topology.Find(vertex) is null) throw new PortalException(PortalError.NotFound, $"No vertex {vertex} is known in this layer; see 'flor status' for those that are.");
        if (forwarding.QualityTo(vertex) is null) throw new PortalException(PortalError.Unreachable, $"{vertex} is known, but no path leads there now; see 'flor status' for the links.");
        return vertex;
    }

    private void OnUp(Adjacency adjacency)
    {
        forwarding.AddAdjacency(adjacency);
        peers[adjacency] = directory.AddPeer(adjacency.Neighbour, message =>
        {
            var packet = pool.Rent();
            message.CopyTo(packet.Append(message.Length));
            forwarding.SendToNeighbour(adjacency, packet, PayloadType.Directory);
        });
        Advertise();
    }

    private void OnDown(Adjacency adjacency, string reason)
    {
        // Traffic first: the engine switches to its repairs at once, whatever the directory has to say.
        forwarding.RemoveAdjacency(adjacency);
        if (peers.Remove(adjacency, out var peer)) directory.RemovePeer(peer);
        Advertise();
    }

    private void OnChanged(Adjacency adjacency)
    {
        forwarding.OnMetricChanged(adjacency);
        Advertise();
    }

    // One adjacency a neighbour, the best: several links between two nodes at once are the engine's own affair.
    private void Advertise() => directory.SetAdjacencies(
        [.. manager.Adjacencies.GroupBy(static a => a.Neighbour).Select(static g => g.MinBy(static a => a.MetricMicroseconds)!.ToAdvertise())]);

    private void OnRevocationsChanged()
    {
        transport.OnRevocationsChanged();
        manager.OnRevocationsChanged();
        SayIfRevoked();
    }

    private void SayIfRevoked()
    {
        if (revocations.Refusal(identity.Current) is { } refusal) LogRevoked(logger, refusal);
    }

    private void OnTopologyChanged()
    {
        if (directory.Segment != default) forwarding.SetSegment(directory.Segment);
        forwarding.Update(directory.Topology);
        transport.OnDirectoryChanged();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "No link to {Neighbour}: {Reason} Trying again")]
    private static partial void LogDialFailed(ILogger logger, SpiffeId neighbour, string reason);

    [LoggerMessage(Level = LogLevel.Critical, Message = "This vertex is revoked, and nobody links with it: {Reason} Issue it again (florctl identity issue)")]
    private static partial void LogRevoked(ILogger logger, string reason);

    private sealed class DirectoryReceiver(LayerVertex vertex) : ILocalReceiver
    {
        public void OnPacket(PacketBuffer payload, in PacketHeader header)
        {
            if (header.Arrival is { } adjacency && vertex.peers.TryGetValue(adjacency, out var peer)) vertex.directory.Receive(peer, payload.Span);
            payload.Return();
        }
    }

    private sealed class Services(Directory directory) : IServiceDirectory
    {
        public IEnumerable<SpiffeId> VerticesOf(SpiffeId service) => HomeOf(service) ?? directory.Find(service).Select(static i => i.Vertex);

        public IEnumerable<SpiffeId> AnnouncedAt(SpiffeId service) => HomeOf(service) ?? directory.AnnouncedAt(service);

        public ulong? IncarnationOf(SpiffeId vertex) => directory.IncarnationOf(vertex);

        public void Announce(HeldIdentity service)
        {
            if (service.Id.Kind != IdentityKind.Node) directory.Announce(service);
        }

        public void Withdraw(SpiffeId service)
        {
            if (service.Kind != IdentityKind.Node) directory.Withdraw(service);
        }

        // A node's identity lives at its own vertex and nowhere else, so no record says where; whether it is published there, the vertex answers. Null: it is no node's.
        private IEnumerable<SpiffeId>? HomeOf(SpiffeId identity)
        {
            if (identity.Kind != IdentityKind.Node) return null;
            var home = SpiffeId.Of(identity.Cluster, IdentityKind.Vertex, identity.Name);
            return directory.Topology.Find(home) is null ? [] : [home];
        }
    }
}
