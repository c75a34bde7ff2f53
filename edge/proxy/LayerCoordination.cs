using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Coordination;
using Florete.Runtime;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy;

/// <summary>Coordination of the vertex on the real network.</summary>
internal sealed class LayerCoordination(LayerVertex vertex, EventLoop loop) : ICoordinatedNetwork
{
    public event Action? ViewChanged
    {
        add => vertex.CoordinationChanged += value;
        remove => vertex.CoordinationChanged -= value;
    }

    public EventLoop Loop => loop;

    public CoordinationView View => vertex.Coordination;

    public Topology Topology => vertex.Topology;

    public void SetCandidacy(Candidacy? candidacy) => vertex.SetCandidacy(candidacy);

    // The numbers of a decision are within those of the forwarding, and its names are checked.
    public void SetPaths(IReadOnlyList<DecidedPath> paths) => vertex.SetPaths([.. paths.Select(path => new Layers.DecidedPath(
        VertexOf(path.To),
        [.. path.Via.Select(hop => hop.Neighbour is { } neighbour ? PathStep.Over(VertexOf(hop.Vertex), VertexOf(neighbour)) : PathStep.Through(VertexOf(hop.Vertex)))]))]);

    private SpiffeId VertexOf(string name) => SpiffeId.Of(vertex.Id.Cluster, IdentityKind.Vertex, name);
}
