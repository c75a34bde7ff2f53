using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// The directory of a layer as one vertex holds it (docs/protocols/directory.md): who is there, which links they have, what they publish. Signed
/// records, flooded to neighbours over unreliable datagrams; the same everywhere in a connected group. Does no I/O of its own; construct, use and
/// dispose it in turns of its loop only. Events are raised at the end of a turn.
/// </summary>
public sealed partial class Directory : ITurnEnd, IDisposable
{
    // A lost link waits less than other news: until it is acted on, packets go nowhere.
    private static readonly TimeSpan LossInterval = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan BusySweep = TimeSpan.FromMilliseconds(200), IdleSweep = TimeSpan.FromSeconds(1), PurgeInterval = TimeSpan.FromSeconds(5);

    private readonly DirectoryOptions options;
    private readonly EventLoop loop;
    private readonly IBounds bounds;
    private readonly IDirectoryCache? cache;
    private readonly Random random;
    private readonly RecordStore store = new();
    private readonly SegmentClaims claims = new();
    private readonly ServiceView services;
    private readonly DirectoryCounters counters;
    private readonly Admission admission;
    private readonly Intake intake;
    private readonly OwnRecords own;
    private readonly RevocationList revocations;
    private readonly RevocationRecords revocationRecords;
    private readonly List<DirectoryPeer> peers = [];
    private readonly HashSet<SpiffeId> changedVertices = [];
    private readonly LoopTimer sweep, save, topologyTimer;
    private HashSet<SpiffeId> reachable;
    private Instant topologyBuilt, purged;
    private bool isTopologyStale, isLinkLost, isOwnChanged, isCoordinationStale, isUnsaved, isDisposed;

    /// <exception cref="ArgumentException">An option is out of range, or the identity is not of kind <c>vertex</c>.</exception>
    public Directory(
        DirectoryOptions options, EventLoop loop, HeldIdentity vertex, IPeerVerifier verifier, IBounds bounds, IDirectoryCache? cache, ILogger logger,
        LayerSecurity? security = null)
    {
        options.Validate();
        if (vertex.Id.Kind != IdentityKind.Vertex) throw new ArgumentException($"{vertex.Id} is not a vertex; a directory belongs to one.", nameof(vertex));
        this.options = options;
        this.loop = loop;
        this.bounds = bounds;
        this.cache = cache;
        Vertex = vertex.Id;
        // Vertices that start together with one seed must not refresh together.
        random = new Random(options.Seed ^ (int)RecordView.KeyOf(RecordKind.Vertex, System.Text.Encoding.ASCII.GetBytes(Vertex.ToString()), default));
        services = new ServiceView(store);
        security ??= new LayerSecurity(new RevocationList());
        revocations = security.Revocations;
        counters = new DirectoryCounters(loop, logger, security.Events, () => store.Count, () => store.Bytes);
        revocationRecords = new RevocationRecords(loop, security, logger);
        admission = new Admission(options, store, bounds, Vertex, revocations, revocationRecords);
        intake = new Intake(options, loop, store, admission, verifier, counters) { Accepted = OnAccepted };
        own = new OwnRecords(options, loop, vertex, bounds, revocations, cache, logger, random) { Issued = OnIssued };
        reachable = [Vertex];
        topologyBuilt = loop.Now - options.TopologyInterval;
        purged = loop.Now;
        sweep = loop.CreateTimer(Sweep);
        save = loop.CreateTimer(Save);
        topologyTimer = loop.CreateTimer(() => loop.AtEndOfTurn(this));
        own.Start();
        foreach (var kept in security.File?.Loaded ?? []) OfferKept(kept);
        LoadCache();
        sweep.Set(loop.Now + IdleSweep);
        if (cache is not null) save.Set(loop.Now + options.SaveInterval);
        bounds.Changed += OnBoundsChanged;
        revocations.Changed += OnRevocationsChanged;
    }

    /// <summary>Raised at most once per turn, after <see cref="Topology"/> has changed.</summary>
    public event Action? TopologyChanged;

    /// <summary>Raised for every instance that comes or goes, after <see cref="Services"/> has changed; the own ones included.</summary>
    public event Action<ServiceChange>? ServiceChanged;

    /// <summary>Raised in a turn after revocations have come into force and records by revoked signers are dropped.</summary>
    public event Action? RevocationsChanged;

    public SpiffeId Vertex { get; }

    /// <summary>The own node segment; label 0 while another vertex has won it and the next is not claimed yet.</summary>
    public Label Segment => claims.Holds(Vertex) ?? default;

    /// <summary>
    /// The layer as it is known now; immutable. Contains every vertex whose record is held, reachable or not. A vertex that lost its node segment and has
    /// not claimed the next has label 0: it carries transit, and cannot be addressed.
    /// </summary>
    public Topology Topology { get; private set; } = Topology.Empty;

    /// <summary>The instances that are present: announced in the present life of a vertex that is reachable from here.</summary>
    public IReadOnlyCollection<ServiceInstance> Services => services.All;

    bool ITurnEnd.IsQueued { get; set; }

    /// <summary>The present instances of a service; empty if there is none.</summary>
    public IReadOnlyList<ServiceInstance> Find(SpiffeId service) => services.Find(service);

    /// <summary>The vertices that announce the service, reachable or not.</summary>
    public IEnumerable<SpiffeId> AnnouncedAt(SpiffeId service) => store.Origins
        .Where(o => o.VertexRecord is { IsWithdrawn: false } && o.Services.TryGetValue(service, out var record) && !record.IsWithdrawn)
        .Select(static o => o.Id);

    /// <summary>The instances that a vertex announces which is known and cannot be reached from here.</summary>
    public IEnumerable<ServiceInstance> OutOfReach => store.Origins
        .Where(o => o.VertexRecord is { IsWithdrawn: false } && !reachable.Contains(o.Id))
        .SelectMany(static o => o.Services.Values.Where(static record => !record.IsWithdrawn).Select(record => new ServiceInstance(record.Signer, o.Id)));

    /// <summary>Which life of a vertex its record belongs to: greater after every restart. Null: no record of it is held.</summary>
    public ulong? IncarnationOf(SpiffeId vertex) => store.FindOrigin(vertex)?.VertexRecord?.Version.Incarnation;

    /// <summary>Publishes a service at this vertex. The bounds must allow it, or it waits until they do. Renewals of its SVID are followed.</summary>
    public void Announce(HeldIdentity service) => own.Announce(service);

    /// <summary>Takes a service back.</summary>
    public void Withdraw(SpiffeId service) => own.Withdraw(service);

    /// <summary>
    /// Says which links this vertex has now, all of them. Links that come or go are advertised at once; changes of quality are damped here, so call it
    /// as often as measurements come.
    /// </summary>
    public void SetAdjacencies(IReadOnlyList<TopologyAdjacency> own) => this.own.SetAdjacencies(own);

    /// <summary>
    /// Begins to exchange records with a neighbour, whose identity the link has proved. Messages of at most
    /// <see cref="DirectoryOptions.MaxMessageBytes"/> are handed to <paramref name="send"/>, whose span is valid during the call only; they may be lost,
    /// reordered and repeated.
    /// </summary>
    public DirectoryPeer AddPeer(SpiffeId neighbour, Action<ReadOnlySpan<byte>> send)
    {
        var peer = new DirectoryPeer(neighbour, loop, store, options, send);
        peers.Add(peer);
        peer.Exchange = new Exchange(peer, loop, store, options, random);
        return peer;
    }

    /// <summary>Ends the exchange: the link is gone.</summary>
    public void RemovePeer(DirectoryPeer peer)
    {
        if (!peers.Remove(peer)) return;
        peer.Remove();
        intake.Wanted.Forget(peer);
    }

    /// <summary>The directory at this moment, for people.</summary>
    public DirectoryStatus Status()
    {
        var refused = Enum.GetValues<DirectoryRefusal>().Where(r => counters.Refused(r) > 0).ToDictionary(static r => r, counters.Refused);
        var neighbours = peers.Select(static p => new DirectoryPeerStatus(
            p.Neighbour, p.IsInStep, p.PendingRecords, p.SentMessages, p.SentBytes, p.ReceivedMessages, p.ReceivedBytes, p.RepeatedRecords, p.Refused));
        return new DirectoryStatus(
            Vertex, Segment, own.Incarnation, store.Vertices, reachable.Count, services.Count, store.Count, store.Chains, store.Bytes,
            intake.InProgress, counters.Accepted, counters.OwnIssued, counters.ChainsVerified, refused, [.. neighbours], revocationRecords.SaveProblem, counters.DroppedRevoked);
    }

    /// <summary>One number for everything that is held: equal at two vertices, equal records.</summary>
    internal ulong Digest()
    {
        var digest = 0UL;
        for (var bucket = 0; bucket < DirectoryLimits.Buckets; bucket++) digest ^= store.Summary(bucket);
        return digest;
    }

    /// <summary>Stops; nothing is withdrawn: the neighbours see the links go. Saves what is known.</summary>
    public void Dispose()
    {
        if (isDisposed) return;
        isDisposed = true;
        bounds.Changed -= OnBoundsChanged;
        revocations.Changed -= OnRevocationsChanged;
        foreach (var peer in peers) peer.Remove();
        peers.Clear();
        own.Dispose();
        sweep.Cancel();
        save.Cancel();
        topologyTimer.Cancel();
        if (isUnsaved) cache?.SaveSnapshot(Snapshot());
        counters.Dispose();
    }

    void ITurnEnd.OnTurnEnd()
    {
        if (isDisposed) return;
        if (claims.Holds(Vertex) is null) own.MoveSegment(claims.NextFree(Vertex, (ushort)(own.SegmentIndex + 1)));
        var isTopologyChanged = isTopologyStale && TryBuildTopology();
        var isCoordinationChanged = isCoordinationStale && TryBuildCoordination();
        var changes = new List<ServiceChange>();
        foreach (var vertex in changedVertices.Order()) services.Update(vertex, reachable.Contains(vertex), changes);
        changedVertices.Clear();
        if (isTopologyChanged) TopologyChanged?.Invoke();
        if (isCoordinationChanged) CoordinationChanged?.Invoke();
        foreach (var change in changes) ServiceChanged?.Invoke(change);
    }

    private void OnAccepted(DirectoryRecord record, DirectoryPeer? source)
    {
        if (record.Vertex == Vertex)
        {
            own.Heard(record.Version, store.Find(record.Key) is not null);
            return;
        }
        counters.Accept();
        Take(record, source);
    }

    private void OnIssued(byte[] bytes, X509Svid signer)
    {
        if (!RecordView.TryParse(bytes, out var view)) throw new InvalidOperationException("A record that was just made does not parse.");
        if (!store.TryGetChain(view.Certificate, out var chain))
        {
            chain = CertificateChain.Own(signer);
            store.AddChain(chain, loop.Now);
        }
        VertexBody? body = null;
        if (view.Kind == RecordKind.Vertex) VertexBody.TryDecode(view.Body, Vertex.Cluster, out body);
        counters.OwnIssued++;
        isOwnChanged = true;
        Take(
            new DirectoryRecord
            {
                Bytes = bytes,
                Key = view.Key(),
                Version = view.Version(),
                Kind = view.Kind,
                Flags = view.Flags,
                Signer = signer.Id,
                Vertex = Vertex,
                Chain = chain,
                Deadline = loop.Now + options.MaxAge,
                Body = body,
            },
            null);
    }

    /// <summary>Stores a record that is newer than the one held, tells the other neighbours, and notes what it changes.</summary>
    private void Take(DirectoryRecord record, DirectoryPeer? source)
    {
        var old = store.Find(record.Key);
        store.Put(record, loop.Now);
        source?.HasVersion(record);
        foreach (var peer in peers)
        {
            if (peer != source) peer.Push(record.Key);
        }
        if (record.Kind == RecordKind.Vertex) TakeVertex(record, old);
        else if (record.Vertex is not null) changedVertices.Add(record.Vertex);
        if (record.Revocation is { } content) revocationRecords.Add(SignedRevocation.Of(record.Chain.Encoded, record.Bytes, content));
        isUnsaved = true;
        loop.AtEndOfTurn(this);
    }

    private void TakeVertex(DirectoryRecord record, DirectoryRecord? old)
    {
        var vertex = record.Vertex!;
        changedVertices.Add(vertex);
        if (record.IsWithdrawn) claims.Remove(vertex);
        else claims.Set(new SegmentClaim(vertex, record.Body!.SegmentIndex));
        isCoordinationStale |= old?.Body?.Candidacy != record.Body?.Candidacy || old?.IsWithdrawn != record.IsWithdrawn;
        if (old is null || old.IsWithdrawn != record.IsWithdrawn || old.Body!.SegmentIndex != record.Body!.SegmentIndex
            || !old.Body.Adjacencies.SequenceEqual(record.Body.Adjacencies))
        {
            isTopologyStale = true;
            isLinkLost |= old is { Body: { } was } && (record.Body is not { } body || Loses(was, body));
        }
        if (old is null || old.Version.Incarnation == record.Version.Incarnation) return;
        // What a former life announced is over.
        foreach (var service in store.FindOrigin(vertex)!.Services.Values.Where(s => s.Version.Incarnation < record.Version.Incarnation).ToArray())
        {
            store.Remove(service, loop.Now);
        }
    }

    private void Drop(DirectoryRecord record)
    {
        store.Remove(record, loop.Now);
        isUnsaved = true;
        if (record.Vertex is null) return;
        changedVertices.Add(record.Vertex);
        loop.AtEndOfTurn(this);
        if (record.Kind != RecordKind.Vertex) return;
        claims.Remove(record.Vertex);
        isTopologyStale = isCoordinationStale = true;
        foreach (var service in store.FindOrigin(record.Vertex)!.Services.Values.ToArray()) store.Remove(service, loop.Now);
    }

    private bool TryBuildTopology()
    {
        var interval = isLinkLost && LossInterval < options.TopologyInterval ? LossInterval : options.TopologyInterval;
        if (!isOwnChanged && loop.Now - topologyBuilt < interval)
        {
            topologyTimer.Set(topologyBuilt + interval);
            return false;
        }
        isTopologyStale = isLinkLost = false;
        isOwnChanged = false;
        topologyBuilt = loop.Now;
        Topology = TopologyView.Build(store, claims, bounds);
        var now = TopologyView.Reachable(Topology, Vertex);
        foreach (var vertex in now.Where(v => !reachable.Contains(v))) changedVertices.Add(vertex);
        foreach (var vertex in reachable.Where(v => !now.Contains(v))) changedVertices.Add(vertex);
        reachable = now;
        isCoordinationStale = true;
        return true;
    }

    private static bool Loses(VertexBody before, VertexBody after)
    {
        foreach (var adjacency in before.Adjacencies)
        {
            var isThere = false;
            foreach (var other in after.Adjacencies) isThere |= other.Neighbour == adjacency.Neighbour;
            if (!isThere) return true;
        }
        return false;
    }

    private void Sweep()
    {
        intake.Sweep();
        if (loop.Now - purged >= PurgeInterval)
        {
            purged = loop.Now;
            Purge();
        }
        sweep.Set(loop.Now + (intake.InProgress > 0 || intake.Wanted.Count > 0 ? BusySweep : IdleSweep));
    }

    private void Purge()
    {
        var now = loop.WallClock.GetUtcNow();
        foreach (var record in store.Records.Where(r => r.Deadline <= loop.Now || r.Chain.NotAfter + options.CertificateGrace < now).ToArray())
        {
            if (record.Vertex != Vertex && store.Find(record.Key) == record) Drop(record);
            else if (record.IsWithdrawn && record.Deadline <= loop.Now) Drop(record);
        }
        foreach (var record in store.Records.Where(r => r.Revocation?.NeededUntil < now).ToArray()) Drop(record);
        revocationRecords.Prune(now);
        foreach (var chain in store.AllChains.Where(c => c.References == 0 && loop.Now - c.UnreferencedSince > options.UnreferencedCertificateAge).ToArray())
        {
            store.RemoveChain(chain);
        }
        store.RemoveEmptyOrigins();
    }

    private void OnBoundsChanged() => loop.Post(() =>
    {
        if (isDisposed) return;
        intake.ForgetRefusals();
        foreach (var record in store.Records.Where(r => !admission.StillAllowed(r)).ToArray()) Drop(record);
        own.AnnounceWhatIsMissing(store);
        isTopologyStale = isCoordinationStale = true;
        loop.AtEndOfTurn(this);
    });

    // By whoever it was changed: another vertex of this process may share the list.
    private void OnRevocationsChanged() => loop.Post(() =>
    {
        if (isDisposed) return;
        intake.ForgetRefusals();
        foreach (var record in store.Records.Where(admission.IsRevoked).ToArray())
        {
            // The own record is what this vertex thinks of itself; the others drop it.
            if (store.Find(record.Key) != record || (record.Kind == RecordKind.Vertex && record.Vertex == Vertex)) continue;
            counters.DroppedRevoked++;
            Drop(record);
        }
        own.AnnounceWhatIsMissing(store);
        RevocationsChanged?.Invoke();
    });

    private void Save()
    {
        if (isUnsaved) cache!.SaveSnapshot(Snapshot());
        isUnsaved = false;
        save.Set(loop.Now + options.SaveInterval);
    }

    private DirectorySnapshot Snapshot() => new(
        loop.WallClock.GetUtcNow(),
        [.. store.AllChains.Where(static c => c.References > 0).Select(static c => (ReadOnlyMemory<byte>)c.Encoded)],
        [.. store.Records.OrderBy(static r => r.Kind).Select(r => new CachedRecord(Outbox.RemainingAge(r, loop.Now), r.Bytes))]);

    private void LoadCache()
    {
        if (cache?.LoadSnapshot() is not { } snapshot) return;
        var elapsed = Math.Max(0, (loop.WallClock.GetUtcNow() - snapshot.Saved).TotalSeconds);
        foreach (var chain in snapshot.Chains) intake.OfferChain(null, chain.Span);
        foreach (var record in snapshot.Records)
        {
            var age = record.AgeSeconds == DirectoryLimits.LastingAge ? record.AgeSeconds : (ushort)Math.Max(0, record.AgeSeconds - elapsed);
            if (age > 0) intake.OfferRecord(null, record.Bytes.Span, age);
        }
    }
}
