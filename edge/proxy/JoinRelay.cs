using System.Text;
using Florete.Identities;
using Florete.Identity.Contracts;
using Florete.Links;
using Florete.Portals;

namespace Florete.Proxy;

/// <summary>Carries joins to the issuer over the mesh, as this node's <c>node</c> identity, after what can be seen here is seen to be right.</summary>
internal sealed class JoinRelay(IPortal portal, NodeMaterials materials, SpiffeId vertex) : IJoinRelay
{
    private readonly SpiffeId node = SpiffeId.Of(vertex.Cluster, IdentityKind.Node, vertex.Name);

    public ReadOnlyMemory<byte> Bundle => Encoding.UTF8.GetBytes(materials.BundlePem);

    // Off the vertex's loop, for which signatures take long.
    public Task<ReadOnlyMemory<byte>> RelayAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken) =>
        Task.Run(() => AskAsync(request, cancellationToken), cancellationToken);

    private async Task<ReadOnlyMemory<byte>> AskAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (!IdentityJson.TryRead<JoinRequest>(request.Span, out var read)) throw new JoinException(JoinRefusal.Malformed, "The request is malformed; use the same version of Florete.");
        if (!JoinToken.TryParse(read.Token, out var token, out var flaw)) throw new JoinException(JoinRefusal.Malformed, $"{flaw}.");
        var now = DateTimeOffset.UtcNow;
        if (token.Cluster != materials.Cluster) throw new JoinException(JoinRefusal.WrongCluster, $"The token is for cluster {token.Cluster}, and this is {materials.Cluster}.");
        if (token.Verify(materials.Verifier, materials.Cluster, now) is { IsAllowed: false } unsigned) throw new JoinException(JoinRefusal.Malformed, unsigned.Refusal!);
        if (token.IsExpired(now)) throw new JoinException(JoinRefusal.Expired, $"The token has expired at {token.Expiry:u}; make a new one (florctl token create).");
        if (materials.Find(node) is not { } held)
        {
            throw new JoinException(JoinRefusal.Failed, $"{vertex.Path} does not hold {node.Path}, as which it would ask the issuer; issue it there (florctl identity issue).");
        }
        return await new IssuerClient(portal.As(held), token.Cluster.Name).AskAsync("/v1/join", request, token.IssuerVertex, cancellationToken).ConfigureAwait(false);
    }
}
