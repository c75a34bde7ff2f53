using Florete.Identities;
using Florete.Runtime;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests;

/// <summary>Directories connected by lossy pipes in virtual time, with certificates of a real authority. The same seed is the same run.</summary>
internal sealed class DirectoryNetwork : IDisposable
{
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly Random random;
    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", Start - TimeSpan.FromHours(1));
    private readonly VirtualLoop wire;

    public DirectoryNetwork(int seed)
    {
        random = new Random(seed);
        Clock = new VirtualClock(Start);
        wire = new VirtualLoop(Clock);
        Verifier = new PeerVerifier(TrustBundle.Of(authority.Root), Bounds);
    }

    public VirtualClock Clock { get; }

    public IPeerVerifier Verifier { get; }

    public DirectoryBounds Bounds { get; } = new();

    public double Loss { get; set; }

    public double Repetition { get; set; }

    public DirectoryOptions Options { get; set; } = new();

    public List<DirectoryVertex> Vertices { get; } = [];

    public List<DirectoryLink> Links { get; } = [];

    public static SpiffeId Id(string name, IdentityKind kind = IdentityKind.Vertex) => SpiffeId.Of("home", kind, name);

    public HeldIdentity Hold(SpiffeId id, TimeSpan? lifetime = null, TimeSpan backdating = default) =>
        new(authority.Issue(id, lifetime ?? TimeSpan.FromHours(24), Clock.WallClock.GetUtcNow() - backdating));

    public NodeAuthority IssueNode(string name) => authority.IssueNodeAuthority(name, TimeSpan.FromDays(30), Clock.WallClock.GetUtcNow());

    /// <summary>The root's key: what any issuer could make.</summary>
    public CertificateAuthority Authority => authority;

    public X509Svid Issue(SpiffeId id, TimeSpan? lifetime = null) => Hold(id, lifetime).Current;

    public DirectoryVertex Add(string name, TimeSpan? clockOffset = null)
    {
        var vertex = new DirectoryVertex(this, Hold(Id(name), null, TimeSpan.FromMinutes(30)), clockOffset ?? TimeSpan.Zero);
        Vertices.Add(vertex);
        vertex.Boot();
        return vertex;
    }

    public DirectoryVertex[] Line(int count)
    {
        var line = Enumerable.Range(0, count).Select(i => Add($"v{i}")).ToArray();
        for (var i = 1; i < count; i++) Connect(line[i - 1], line[i]);
        return line;
    }

    public DirectoryVertex[] Ring(int count)
    {
        var ring = Line(count);
        Connect(ring[^1], ring[0]);
        return ring;
    }

    public DirectoryLink Connect(DirectoryVertex a, DirectoryVertex b)
    {
        var link = new DirectoryLink(a, b);
        Links.Add(link);
        link.Up();
        return link;
    }

    /// <summary>Runs until every vertex has the same records and nothing is on its way; false if that took longer.</summary>
    public bool Converges(TimeSpan limit) => Clock.RunUntil(AreInStep, limit);

    public bool AreInStep()
    {
        var first = Vertices.First(v => v.IsRunning);
        return Vertices.Where(v => v.IsRunning).All(v => v.Directory.Digest() == first.Directory.Digest());
    }

    /// <summary>Delivers after 1 to 20 ms, so out of order; or never; or twice.</summary>
    public void Carry(ReadOnlySpan<byte> message, Action<byte[]> deliver)
    {
        var copy = message.ToArray();
        for (var copies = random.NextDouble() < Repetition ? 2 : 1; copies > 0; copies--)
        {
            if (random.NextDouble() < Loss) continue;
            wire.CreateTimer(() => deliver(copy)).Set(Clock.Now + TimeSpan.FromMilliseconds(1 + (19 * random.NextDouble())));
        }
    }

    public void Dispose()
    {
        foreach (var vertex in Vertices.Where(v => v.IsRunning)) vertex.Stop();
        authority.Dispose();
    }
}

/// <summary>One vertex: a loop, a cache that survives restarts, and a directory.</summary>
internal sealed class DirectoryVertex(DirectoryNetwork network, HeldIdentity identity, TimeSpan clockOffset)
{
    private readonly List<DirectoryLink> links = [];
    private uint nextLabel = Label.Adjacencies.First;

    public HeldIdentity Identity { get; private set; } = identity;

    public SpiffeId Id => Identity.Id;

    public VirtualLoop Loop { get; } = new(network.Clock) { WallClockOverride = new OffsetClock(network.Clock.WallClock, clockOffset) };

    public MemoryDirectoryCache? Cache { get; set; } = new();

    public MemoryRevocationFile Revoked { get; } = new();

    public RevocationList Revocations { get; private set; } = new();

    public SecurityEvents Events { get; } = new(TimeProvider.System);

    public Directory Directory { get; private set; } = null!;

    public bool IsRunning { get; private set; }

    public int TopologyChanges { get; private set; }

    public List<Portals.ServiceChange> ServiceChanges { get; } = [];

    public Dictionary<DirectoryLink, (DirectoryPeer Peer, Label Label)> Peers { get; } = [];

    public uint Metric { get; set; } = 1000;

    public void Boot() => Turn(() =>
    {
        Revocations = new RevocationList();
        Directory = new Directory(
            network.Options, Loop, Identity, network.Verifier, network.Bounds, Cache, NullLogger.Instance, new LayerSecurity(Revocations, Revoked, Events));
        Directory.TopologyChanged += () => TopologyChanges++;
        Directory.ServiceChanged += ServiceChanges.Add;
        IsRunning = true;
    });

    public void Stop()
    {
        foreach (var link in links.ToArray()) link.Down();
        Turn(() => Directory.Dispose());
        IsRunning = false;
    }

    public HeldIdentity Announce(string service)
    {
        var held = network.Hold(DirectoryNetwork.Id(service, IdentityKind.Service), null, TimeSpan.FromMinutes(30));
        Turn(() => Directory.Announce(held));
        return held;
    }

    public void Attach(DirectoryLink link)
    {
        links.Add(link);
        Turn(() =>
        {
            var peer = Directory.AddPeer(link.Other(this).Id, message => network.Carry(message, link.DeliveryFrom(this)));
            Peers[link] = (peer, new Label(nextLabel++));
            Advertise();
        });
    }

    public void Detach(DirectoryLink link)
    {
        links.Remove(link);
        Turn(() =>
        {
            if (Peers.Remove(link, out var held)) Directory.RemovePeer(held.Peer);
            Advertise();
        });
    }

    public void Advertise() => Directory.SetAdjacencies(
        [.. Peers.Select(p => new TopologyAdjacency(p.Key.Other(this).Id, p.Value.Label, Metric, 0, 1_000_000))]);

    /// <summary>Runs inside a turn of this vertex.</summary>
    public void Turn(Action action)
    {
        var done = false;
        Exception? failure = null;
        Loop.Post(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
            done = true;
        });
        Assert.True(network.Clock.RunUntil(() => done, TimeSpan.Zero));
        if (failure is not null) throw failure;
    }

    private sealed class OffsetClock(TimeProvider clock, TimeSpan offset) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => clock.GetUtcNow() + offset;
    }
}

/// <summary>A file in memory; writing ends when the test says so, or at once.</summary>
internal sealed class MemoryRevocationFile : IRevocationFile
{
    private Action? pending;

    public IReadOnlyList<SignedRevocation> Loaded { get; private set; } = [];

    public bool IsSlow { get; set; }

    public Exception? Fault { get; set; }

    public int Saves { get; private set; }

    public void Save(IReadOnlyList<SignedRevocation> all, Action<Exception?> saved)
    {
        Saves++;
        pending = () =>
        {
            pending = null;
            if (Fault is null) Loaded = all;
            saved(Fault);
        };
        if (!IsSlow) pending();
    }

    public void Finish() => pending!();
}

internal sealed class DirectoryLink(DirectoryVertex a, DirectoryVertex b)
{
    private int generation;

    public bool IsUp { get; private set; }

    public DirectoryVertex Other(DirectoryVertex vertex) => vertex == a ? b : a;

    public void Up()
    {
        if (IsUp) return;
        IsUp = true;
        generation++;
        a.Attach(this);
        b.Attach(this);
    }

    public void Down()
    {
        if (!IsUp) return;
        IsUp = false;
        generation++;
        a.Detach(this);
        b.Detach(this);
    }

    /// <summary>A way to the other end for what is sent now; it ends with the link.</summary>
    public Action<byte[]> DeliveryFrom(DirectoryVertex from)
    {
        var (to, sentIn) = (Other(from), generation);
        return message => to.Loop.Post(() =>
        {
            if (sentIn == generation && to.Peers.TryGetValue(this, out var held)) to.Directory.Receive(held.Peer, message);
        });
    }
}

/// <summary>Bounds that allow all but what is named.</summary>
internal sealed class DirectoryBounds : IBounds
{
    private readonly HashSet<(SpiffeId Vertex, SpiffeId Identity)> forbidden = [];
    private readonly HashSet<string> coordinators = [];

    public event Action? Changed;

    public void Forbid(SpiffeId vertex, SpiffeId identity)
    {
        forbidden.Add((vertex, identity));
        Changed?.Invoke();
    }

    public void Allow(SpiffeId vertex, SpiffeId identity)
    {
        forbidden.Remove((vertex, identity));
        Changed?.Invoke();
    }

    /// <summary>Names exactly these under <c>coordinate</c>.</summary>
    public void LetCoordinate(params string[] nodes)
    {
        coordinators.Clear();
        coordinators.UnionWith(nodes);
        Changed?.Invoke();
    }

    public Verdict MayCoordinate(SpiffeId node) => coordinators.Contains(node.Name) ? Verdict.Allowed : Verdict.Refused($"{node.Name} is not named.");

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => Verdict.Allowed;

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) =>
        forbidden.Contains((vertex, identity)) ? Verdict.Refused($"No rule lets {vertex} host {identity}.") : Verdict.Allowed;
}
