using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests.Transport;

/// <summary>A node of a layer: what a vertex of a layer on top of it runs on.</summary>
internal sealed record Node(string Name, EventLoop Loop, PacketPool Pool, IPortal Portal);

/// <summary>Layers on top of layers: vertices whose links are <c>native</c>.</summary>
internal static class UpperLayer
{
    /// <summary>One vertex of the upper layer, named as its node; dials the neighbours named.</summary>
    public static Task<LayerVertex> StartAsync(
        Node node, CertificateAuthority authority, IBounds bounds, NativeLinkOptions options, params string[] neighbours)
    {
        var vertex = Hold(authority, node.Loop, SpiffeId.Of("home", IdentityKind.Vertex, node.Name));
        var links = new NativeLinkPortal(node.Portal, Hold(authority, node.Loop, options.ServiceOf(vertex.Id)), options, bounds);
        return LayerVertex.StartAsync(
            new LayerVertexOptions(), node.Loop, node.Pool, vertex,
            [new Underlay("native", links, [.. neighbours.Select(static n => SpiffeId.Of("home", IdentityKind.Vertex, n))])],
            new PeerVerifier(TrustBundle.Of(authority.Root), bounds), bounds, null, NullLoggerFactory.Instance);
    }

    public static HeldIdentity Hold(CertificateAuthority authority, EventLoop loop, SpiffeId id) =>
        new(authority.Issue(id, TimeSpan.FromHours(24), loop.WallClock.GetUtcNow()));
}
