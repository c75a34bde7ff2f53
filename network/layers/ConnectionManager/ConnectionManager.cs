using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Keeps a vertex linked with its neighbours (HLD "Connection manager"): publishes the vertex in each underlay, dials the neighbours it is
/// told to dial, and makes an <see cref="Adjacency"/> of every datagram connection that stands. It knows portals only, no medium.
/// Loop-affine; <see cref="StartAsync"/> and <see cref="DisposeAsync"/> may be called from anywhere.
/// </summary>
/// <remarks>
/// Both ends may dial at once, or a neighbour may return while its former link still seems to stand. Then both links are used, until the
/// vertex with the lower identity ends the older one: with one side to decide, the two can never each end the other's.
/// </remarks>
public sealed partial class ConnectionManager : IAsyncDisposable
{
    /// <summary>Links to one neighbour over one underlay that the deciding end has left standing; more are refused.</summary>
    private const int MaxParallelLinks = 4;

    private readonly EventLoop loop;
    private readonly HeldIdentity self;
    private readonly IReadOnlyList<Underlay> underlays;
    private readonly IBounds bounds;
    private readonly ConnectionManagerOptions options;
    private readonly RevocationList revocations;
    private readonly List<LinkRecord> links = [];
    private readonly List<Dialer> dialers = [];
    private readonly Random random;
    private readonly List<IAsyncDisposable> publications = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly List<(int Underlay, SpiffeId Neighbour)> accepting = [];
    private uint nextSegment = Label.Adjacencies.First;

    /// <param name="loop">The loop of the vertex; the flows of all underlays must be on it.</param>
    /// <param name="self">The vertex.</param>
    /// <param name="underlays">The layers below.</param>
    /// <param name="bounds">Asked before each link, and again whenever they change.</param>
    /// <param name="options">Settings.</param>
    /// <param name="random">For jitter; seeded in tests.</param>
    /// <param name="revocations">Asked before each link, and again when <see cref="OnRevocationsChanged"/> is called; null: nothing is revoked.</param>
    /// <exception cref="ArgumentException">The identity is no vertex, a neighbour to dial is none or is this vertex, or a setting is out of range.</exception>
    public ConnectionManager(
        EventLoop loop,
        HeldIdentity self,
        IReadOnlyList<Underlay> underlays,
        IBounds bounds,
        ConnectionManagerOptions? options = null,
        Random? random = null,
        RevocationList? revocations = null)
    {
        this.revocations = revocations ?? new RevocationList();
        this.loop = loop;
        this.self = self;
        this.underlays = underlays;
        this.bounds = bounds;
        this.options = options ?? new ConnectionManagerOptions();
        this.options.Validate();
        if (self.Id.Kind != IdentityKind.Vertex) throw new ArgumentException($"{self.Id} is not a vertex.", nameof(self));
        this.random = random ?? new Random();
        for (var underlay = 0; underlay < underlays.Count; underlay++)
        {
            CheckNeighbours(underlays[underlay].Name, underlays[underlay].NeighboursToDial);
            AddDialers(underlay, underlays[underlay].NeighboursToDial);
        }
    }

    /// <summary>A link stands. Raised inside a turn, as are the others.</summary>
    public event Action<Adjacency>? AdjacencyUp;

    /// <summary>A link has ended, and why.</summary>
    public event Action<Adjacency, string>? AdjacencyDown;

    /// <summary>A dial has failed, and why; not repeated while the reason stays the same.</summary>
    public event Action<SpiffeId, string>? DialFailed;

    /// <summary>Metric, loss or capacity of a link have changed enough to matter.</summary>
    public event Action<Adjacency>? AdjacencyChanged;

    /// <summary>The standing links.</summary>
    public IEnumerable<Adjacency> Adjacencies => links.Select(static l => l.Adjacency);

    /// <summary>Publishes the vertex in every underlay and begins to dial.</summary>
    /// <exception cref="PortalException">An underlay refuses the vertex.</exception>
    public Task StartAsync(CancellationToken cancellationToken = default) => loop.RunAsync(async () =>
    {
        bounds.Changed += OnBoundsChanged;
        for (var underlay = 0; underlay < underlays.Count; underlay++)
        {
            publications.Add(await underlays[underlay].Portal.PublishAsync(self, new Acceptor(this, underlay), cancellationToken));
        }
        foreach (var dialer in dialers) dialer.Consider();
    });

    /// <summary>
    /// Replaces the neighbours to dial over an underlay. Who is still named is not touched; a link to one that is no longer named stays until it
    /// ends, and is not dialled again. Inside a turn.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such underlay, or a neighbour cannot be one; nothing has changed.</exception>
    public void SetNeighboursToDial(string underlayName, IReadOnlyList<SpiffeId> neighbours)
    {
        var underlay = underlays.Select(static u => u.Name).ToList().IndexOf(underlayName);
        if (underlay < 0) throw new ArgumentException($"There is no underlay '{underlayName}'.", nameof(underlayName));
        CheckNeighbours(underlayName, neighbours);
        foreach (var gone in dialers.Where(d => d.Underlay == underlay && !neighbours.Contains(d.Neighbour)).ToArray())
        {
            gone.Stop();
            dialers.Remove(gone);
        }
        AddDialers(underlay, neighbours.Where(n => FindDialer(underlay, n) is null));
        foreach (var dialer in dialers) dialer.Consider();
    }

    /// <summary>Withdraws the vertex and ends every link in order.</summary>
    public ValueTask DisposeAsync() => new(loop.RunAsync(async () =>
    {
        if (stopping.IsCancellationRequested) return;
        // Not CancelAsync: its callbacks would leave the loop.
#pragma warning disable CA1849
        stopping.Cancel();
#pragma warning restore CA1849
        bounds.Changed -= OnBoundsChanged;
        foreach (var dialer in dialers) dialer.Stop();
        foreach (var publication in publications) await publication.DisposeAsync();
        foreach (var dialer in dialers) await dialer.Dialling;
        foreach (var link in links.ToArray())
        {
            Remove(link, "this vertex stops");
            await link.Connection.DisposeAsync();
        }
    }));

    /// <summary>How it stands with every neighbour that is linked or to be dialled.</summary>
    public IReadOnlyList<NeighbourStatus> Status()
    {
        var keys = dialers.Select(static d => (d.Neighbour, d.Underlay)).Concat(links.Select(static l => (l.Adjacency.Neighbour, l.Adjacency.Underlay)));
        return [.. keys.Distinct().Order().Select(key =>
        {
            var dialer = FindDialer(key.Underlay, key.Neighbour);
            var standing = links.Count(l => Joins(l, key.Underlay, key.Neighbour));
            return new NeighbourStatus(key.Neighbour, underlays[key.Underlay].Name, standing, dialer is not null, dialer?.Failures ?? 0, dialer?.LastError);
        })];
    }

    internal void OnDialFailed(Dialer dialer, string reason) => DialFailed?.Invoke(dialer.Neighbour, reason);

    internal bool HasLink(int underlay, SpiffeId neighbour) => links.Exists(l => Joins(l, underlay, neighbour));

    internal async ValueTask<PortalConnection> DialAsync(int underlay, SpiffeId neighbour, CancellationToken cancellationToken)
    {
        Check(bounds.MayLink(self.Id, neighbour));
        if (revocations.Refusal(self.Current) is { } revoked) throw new PortalException(PortalError.Refused, revoked);
        var connect = new ConnectOptions(ConnectionMode.Datagram, Timeout: options.DialTimeout);
        return await underlays[underlay].Portal.ConnectAsync(self, neighbour, connect, cancellationToken);
    }

    /// <summary>Takes a connection that this vertex has dialled; ends it and throws if it is no link.</summary>
    internal async ValueTask AddAsync(PortalConnection connection, int underlay)
    {
        try
        {
            stopping.Token.ThrowIfCancellationRequested();
            CheckConnection(connection, underlay);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
        Add(connection, underlay);
    }

    private static void Check(Verdict verdict)
    {
        if (verdict.Refusal is { } refusal) throw new PortalException(PortalError.Refused, refusal);
    }

    private static bool Joins(LinkRecord link, int underlay, SpiffeId neighbour) =>
        link.Adjacency.Underlay == underlay && link.Adjacency.Neighbour == neighbour;

    private void CheckNeighbours(string underlay, IReadOnlyList<SpiffeId> neighbours)
    {
        if (neighbours.FirstOrDefault(n => n.Kind != IdentityKind.Vertex || n == self.Id) is { } wrong)
        {
            throw new ArgumentException($"{wrong} cannot be a neighbour of {self.Id} over {underlay}: name another vertex.", nameof(neighbours));
        }
    }

    private void AddDialers(int underlay, IEnumerable<SpiffeId> neighbours)
    {
        foreach (var neighbour in neighbours.Distinct().ToArray()) dialers.Add(new Dialer(this, loop, options, random, underlay, neighbour, stopping.Token));
    }

    private Dialer? FindDialer(int underlay, SpiffeId neighbour) => dialers.Find(d => d.Underlay == underlay && d.Neighbour == neighbour);

    /// <summary>Ends the links with vertices that are revoked now. Inside a turn.</summary>
    public void OnRevocationsChanged() => EndLinks(link => RevocationOf(link.Connection));

    private void OnBoundsChanged() => loop.Post(() => EndLinks(link => bounds.MayLink(self.Id, link.Adjacency.Neighbour).Refusal));

    private void EndLinks(Func<LinkRecord, string?> refusalOf)
    {
        if (stopping.IsCancellationRequested) return;
        foreach (var link in links.ToArray())
        {
            if (refusalOf(link) is not { } refusal) continue;
            link.Connection.Abort(new PortalException(PortalError.Refused, refusal));
            Remove(link, refusal);
        }
        foreach (var dialer in dialers) dialer.Consider();
    }

    // The neighbour of a link over another layer is proved as that layer knows it, and revoked as this one does.
    private string? RevocationOf(PortalConnection connection) => connection.RemoteProof is { } proof
        ? revocations.Refusal(proof) ?? revocations.Refusal(proof with { Id = connection.Remote })
        : revocations.Find(connection.Remote)?.Describe(connection.Remote.ToString());
}
