using Florete.Identities;

namespace Florete.Configuration;

/// <summary>What a node's folder is made from.</summary>
/// <param name="Vertex">The node's vertex.</param>
/// <param name="Listen">UDP address of its links, <c>HOST:PORT</c>.</param>
/// <param name="Neighbours">Vertices it has links to, with the addresses where they are dialled; none: they dial.</param>
/// <param name="Identities">What else the node holds.</param>
/// <param name="Proxies">Proxy inbounds, open to this machine: where they listen, and as whom they act.</param>
/// <param name="Outbounds">Services it publishes, and where their programs listen.</param>
/// <param name="Portals">Identities whose programs have a portal socket, for the user who makes the folder.</param>
public sealed record NodePlan(
    SpiffeId Vertex,
    string Listen,
    IReadOnlyList<(string Vertex, IReadOnlyList<string> Addresses)> Neighbours,
    IReadOnlyList<SpiffeId> Identities,
    IReadOnlyList<(string Listen, SpiffeId As)> Proxies,
    IReadOnlyList<(SpiffeId Service, string Address)> Outbounds,
    IReadOnlyList<SpiffeId> Portals)
{
    /// <summary>Others may join through this node.</summary>
    public bool LetsJoin { get; init; }

    /// <summary>The system user of Florete's own services, which get a portal socket each; null: they do not run there.</summary>
    public string? ServicesOwner { get; init; }

    /// <summary>Services of Florete itself (<see cref="ControlPlane"/>) that a node has portal sockets for, <c>run/&lt;name&gt;.portal</c>; needs <see cref="ServicesOwner"/>.</summary>
    public IReadOnlyList<SpiffeId> Services { get; init; } = [];

    /// <summary>Everything that the node holds: itself, its services, and what else was asked for.</summary>
    public IReadOnlyList<SpiffeId> All => [.. new[] { Vertex, SpiffeId.Of(Vertex.Cluster, IdentityKind.Node, Vertex.Name) }.Concat(Services).Concat(Identities).Concat(Portals).Distinct()];
}
