using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>Makes the topology from vertex records: adjacencies that both ends advertise and the bounds allow.</summary>
internal static class TopologyView
{
    public static Topology Build(RecordStore store, SegmentClaims claims, IBounds bounds)
    {
        var vertices = new List<TopologyVertex>(store.Vertices);
        foreach (var origin in store.Origins)
        {
            if (origin.VertexRecord is not { IsWithdrawn: false } record) continue;
            var counted = new List<TopologyAdjacency>(record.Body!.Adjacencies.Count);
            foreach (var adjacency in record.Body.Adjacencies)
            {
                if (IsAdvertisedBack(store, origin.Id, adjacency.Neighbour) && bounds.MayLink(origin.Id, adjacency.Neighbour).IsAllowed) counted.Add(adjacency);
            }
            vertices.Add(new TopologyVertex(origin.Id, claims.Holds(origin.Id) ?? default, counted));
        }
        return new Topology(vertices);
    }

    /// <summary>Every vertex that can be reached from <paramref name="from"/>, itself included.</summary>
    public static HashSet<SpiffeId> Reachable(Topology topology, SpiffeId from)
    {
        var reached = new HashSet<SpiffeId> { from };
        var next = new Queue<SpiffeId>();
        next.Enqueue(from);
        while (next.TryDequeue(out var id))
        {
            foreach (var adjacency in topology.Find(id)?.Adjacencies ?? [])
            {
                if (reached.Add(adjacency.Neighbour)) next.Enqueue(adjacency.Neighbour);
            }
        }
        return reached;
    }

    private static bool IsAdvertisedBack(RecordStore store, SpiffeId vertex, SpiffeId neighbour)
    {
        if (vertex == neighbour || store.FindOrigin(neighbour)?.VertexRecord is not { IsWithdrawn: false } record) return false;
        foreach (var adjacency in record.Body!.Adjacencies)
        {
            if (adjacency.Neighbour == vertex) return true;
        }
        return false;
    }
}

/// <summary>The service instances that are present, and what changes.</summary>
internal sealed class ServiceView(RecordStore store)
{
    private readonly Dictionary<SpiffeId, List<ServiceInstance>> byService = [];
    private readonly Dictionary<SpiffeId, HashSet<SpiffeId>> byVertex = [];

    public int Count { get; private set; }

    public IReadOnlyList<ServiceInstance> Find(SpiffeId service) => byService.TryGetValue(service, out var found) ? [.. found] : [];

    public IReadOnlyCollection<ServiceInstance> All => [.. byService.Values.SelectMany(static i => i)];

    /// <summary>Looks again at the services of one vertex and adds what changed.</summary>
    public void Update(SpiffeId vertex, bool isReachable, List<ServiceChange> changes)
    {
        var origin = isReachable ? store.FindOrigin(vertex) : null;
        var isLive = origin?.VertexRecord is { IsWithdrawn: false };
        byVertex.TryGetValue(vertex, out var present);
        foreach (var service in present?.ToArray() ?? [])
        {
            if (isLive && origin!.Services.TryGetValue(service, out var record) && !record.IsWithdrawn) continue;
            present!.Remove(service);
            Remove(service, vertex);
            changes.Add(new ServiceChange(service, vertex, false));
        }
        if (isLive && origin!.Services.Count > 0)
        {
            present ??= byVertex[vertex] = [];
            foreach (var record in origin.Services.Values)
            {
                if (record.IsWithdrawn || !present.Add(record.Signer)) continue;
                if (!byService.TryGetValue(record.Signer, out var instances)) byService.Add(record.Signer, instances = new List<ServiceInstance>(1));
                instances.Add(new ServiceInstance(record.Signer, vertex));
                Count++;
                changes.Add(new ServiceChange(record.Signer, vertex, true));
            }
        }
        if (present?.Count == 0) byVertex.Remove(vertex);
    }

    private void Remove(SpiffeId service, SpiffeId vertex)
    {
        var instances = byService[service];
        Count -= instances.RemoveAll(i => i.Vertex == vertex);
        if (instances.Count == 0) byService.Remove(service);
    }
}
