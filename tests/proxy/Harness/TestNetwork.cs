using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Coordination;
using Florete.Runtime;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy.Tests.Harness;

/// <summary>A directory of which a test says what is in it; what the own vertex says comes back as from a real one. Loop-affine.</summary>
internal sealed class TestNetwork(EventLoop loop, SpiffeId vertex) : ICoordinatedNetwork
{
    private readonly SortedDictionary<string, Candidacy> others = new(StringComparer.Ordinal);
    private Candidacy? own;
    private Epoch? remembered;

    public event Action? ViewChanged;

    public EventLoop Loop => loop;

    public CoordinationView View { get; private set; } = new([vertex], [], null);

    public Topology Topology { get; set; } = Topology.Empty;

    /// <summary>All that the vertex has said of its program.</summary>
    public List<Candidacy?> Said { get; } = [];

    public IReadOnlyList<DecidedPath> Paths { get; private set; } = [];

    public int PathChanges { get; private set; }

    public void SetCandidacy(Candidacy? candidacy)
    {
        Said.Add(candidacy);
        own = candidacy;
        loop.Post(Build);
    }

    public void SetPaths(IReadOnlyList<DecidedPath> paths)
    {
        Paths = paths;
        PathChanges++;
    }

    /// <summary>Another vertex says so; null: it says nothing. Inside a turn.</summary>
    public void Says(string other, Candidacy? candidacy)
    {
        if (candidacy is { } claim) others[other] = claim;
        else others.Remove(other);
        Build();
    }

    /// <summary>What a vertex claimed that cannot be reached; null: its record has gone. Inside a turn.</summary>
    public void Remembers(Epoch? epoch)
    {
        remembered = epoch;
        Build();
    }

    private void Build()
    {
        var all = others.Select(o => new Candidate(SpiffeId.Of(vertex.Cluster, IdentityKind.Vertex, o.Key), o.Value)).ToList();
        if (own is { } claim) all.Add(new Candidate(vertex, claim));
        var epochs = all.Where(static c => c.Claim.State == CandidacyState.Coordinator).Select(static c => (Epoch?)new Epoch(c.Claim.Counter, c.Vertex.Name)).Append(remembered);
        var now = new CoordinationView(
            [.. all.Select(static c => c.Vertex).Append(vertex).Distinct().Order()], [.. all.OrderBy(static c => c.Vertex)],
            epochs.Where(static e => e is not null).Order().LastOrDefault());
        if (now == View) return;
        View = now;
        ViewChanged?.Invoke();
    }
}
