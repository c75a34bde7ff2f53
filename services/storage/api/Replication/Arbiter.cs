using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Contracts;

namespace Florete.Storage.Api.Replication;

/// <summary>Who decides compare-and-swaps in this group: of the instances that are discovered, this one among them, the one with the lowest vertex name.</summary>
internal sealed class Arbiter(InstanceSet instances, PeerClients clients, ReplicaName own)
{
    /// <summary>The arbiter; null: this replica itself.</summary>
    public PeerClient? Find()
    {
        var lowest = instances.Present.Select(static vertex => ReplicaName.Parse(vertex.Name)).Append(own).Min();
        return lowest == own ? null : Of(lowest);
    }

    /// <summary>The replica of this name; null: it is not discovered, or is this one.</summary>
    public PeerClient? Of(ReplicaName replica) =>
        instances.Present.FirstOrDefault(vertex => vertex.Name == replica.ToString()) is { } vertex ? clients.Of(vertex) : null;
}

/// <summary>A client for each other replica that was ever asked; as many as vertices.</summary>
internal sealed class PeerClients(IProgramPortal portal, SpiffeId storage) : IDisposable
{
    private readonly ConcurrentDictionary<SpiffeId, PeerClient> clients = new();

    public PeerClient Of(SpiffeId vertex) => clients.GetOrAdd(vertex, static (vertex, known) => new PeerClient(known.portal, known.storage, vertex), (portal, storage));

    public void Dispose()
    {
        foreach (var client in clients.Values) client.Dispose();
    }
}
