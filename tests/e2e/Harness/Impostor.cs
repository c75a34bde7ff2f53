using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// What flor would never do: stands in a node's place, with its address and its files, and dials a neighbour with a workload's key and
/// certificate. It is built from the link's own library, since nothing else speaks the protocol that far.
/// </summary>
public static class Impostor
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Dials <paramref name="neighbour"/> from a node's namespace, as its vertex but proved by <paramref name="workload"/> (kind/name), which the node holds.</summary>
    /// <returns>How it was refused; null when there is a link.</returns>
    public static async Task<PortalException?> DialAsync(Node node, string workload, string neighbour, string address)
    {
        ArgumentNullException.ThrowIfNull(node);
        var bundle = TrustBundle.Load(Path.Combine(node.Folder, "bundle.pem"));
        var held = IdentityFolder.Open(Path.Combine(node.Folder, "identities"));
        var vertex = held.Find(SpiffeId.Of(bundle.Cluster, IdentityKind.Vertex, node.Name))!;
        var stolen = held.Identities.Single(identity => $"{identity.Id.Kind.Word()}/{identity.Id.Name}" == workload);
        vertex.Renew(stolen.Current with { Id = vertex.Id });

        var target = SpiffeId.Of(bundle.Cluster, IdentityKind.Vertex, neighbour);
        await using var loop = new ThreadLoop("impostor");
        var socket = node.Network.Enter(() => UdpLinkPortal.OpenSocket(loop, new IPEndPoint(IPAddress.Any, Cluster.Port)));
        await using var portal = new UdpLinkPortal(
            loop, new PacketPool(), socket,
            new UdpLinkOptions { Neighbours = [new UdpNeighbour(target, [IPEndPoint.Parse(address)])] },
            new LinkTrust(bundle.ClusterIdentity, new PeerVerifier(bundle), new OpenBounds()));
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            _ = await portal.ConnectAsync(vertex, target, new ConnectOptions(ConnectionMode.Datagram), limit.Token);
            return null;
        }
        catch (PortalException refused)
        {
            return refused;
        }
    }
}
