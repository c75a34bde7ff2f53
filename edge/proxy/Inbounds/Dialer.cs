using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>Connects local programs into the mesh as one identity of this node.</summary>
internal sealed class Dialer(IPortal portal, HeldIdentity caller, EdgeConnections connections)
{
    public HeldIdentity Caller => caller;

    public EdgeConnections Connections => connections;

    /// <summary>Connects to a name that a person or program wrote.</summary>
    /// <exception cref="PortalException">The name is none of the mesh, or the mesh refuses; the message names the remedy.</exception>
    public ValueTask<PortalConnection> ConnectAsync(string host, CancellationToken cancellationToken) =>
        ConnectToAsync(host, ConnectOptions.Default, cancellationToken);

    /// <summary>Connects to a name or a SPIFFE ID.</summary>
    /// <exception cref="PortalException">The name is none of the mesh, or the mesh refuses; the message names the remedy.</exception>
    public ValueTask<PortalConnection> ConnectToAsync(string host, ConnectOptions options, CancellationToken cancellationToken)
    {
        if (SpiffeId.TryParse(host, out var id, out _)) return ConnectAsync(id, options, cancellationToken);
        if (!MeshName.IsMeshName(host))
        {
            throw new PortalException(
                PortalError.Refused, $"This proxy reaches names that end in .{MeshName.Suffix}; '{Shown(host)}' does not. Exclude it from the proxy (no_proxy).");
        }
        if (!MeshName.TryParse(host, caller.Id.Cluster, out var target, out var error)) throw new PortalException(PortalError.NotFound, Shown(error));
        return ConnectAsync(target, options, cancellationToken);
    }

    /// <exception cref="PortalException">The mesh refuses; the message names the remedy.</exception>
    public ValueTask<PortalConnection> ConnectAsync(SpiffeId target, ConnectOptions options, CancellationToken cancellationToken)
    {
        if (connections.IsFull)
        {
            throw new PortalException(PortalError.LimitReached, $"This node has {EdgeConnections.Max} connections, its limit; close some.");
        }
        return portal.ConnectAsync(caller, target, options, cancellationToken);
    }

    // Hostile names end up in logs and answers.
    private static string Shown(string text) =>
        new([.. text.Take(200).Select(c => char.IsControl(c) ? '?' : c)]);
}
