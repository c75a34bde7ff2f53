using System.Text;
using Florete.Identities;

namespace Florete.Configuration;

/// <summary>Writes the first <c>flor.yaml</c> of a node; from then on it is the operator's to edit.</summary>
public static class NodeConfiguration
{
    /// <summary>Its name in the node's folder.</summary>
    public const string FileName = "flor.yaml";

    /// <summary>The text of <c>flor.yaml</c>.</summary>
    public static string Text(NodePlan plan)
    {
        var text = new StringBuilder();
        text.Append($"""
            # Node {plan.Vertex.Name} of cluster {plan.Vertex.Cluster}. Run it: flor run --config flor.yaml
            # Relative paths are relative to this file.
            version: 1
            cluster: {Quote(plan.Vertex.Cluster)}
            vertex: {Quote(plan.Vertex.Name)}
            identities: identities
            bundle: bundle.pem
            bounds: bounds.signed
            state: state
            control: run/flor.sock
            links:
              udp:
                listen: {Quote(plan.Listen)}

            """);
        if (plan.LetsJoin) text.Append("    # Strangers with a token (florctl token create) may join through this port.\n    join: true\n");
        text.Append(plan.Neighbours.Count == 0 ? "    neighbours: []\n" : "    neighbours:\n");
        foreach (var (vertex, addresses) in plan.Neighbours)
        {
            text.Append($"      - vertex: {Quote(vertex)}\n        addresses: [{string.Join(", ", addresses.Select(Quote))}]\n");
        }
        // Without any, the key is only shown as a comment, so that it can simply be appended.
        text.Append(plan.Proxies.Count == 0
            ? "# Where local programs originate connections:\n# inbounds:\n#   - proxy: 127.0.0.1:1080\n#     as: user/alice\n#     sharedByThisMachine: true\n"
            : "# Where local programs originate connections.\ninbounds:\n");
        foreach (var (listen, user) in plan.Proxies)
        {
            text.Append($"  - proxy: {Quote(listen)}\n    as: {user.Path}\n    sharedByThisMachine: true\n");
        }
        text.Append(plan.Outbounds.Count == 0
            ? "# Where connections to services of this node are delivered:\n# outbounds:\n#   - service: hello\n#     tcp: 127.0.0.1:8080\n"
            : "# Where connections to services of this node are delivered.\noutbounds:\n");
        foreach (var (service, address) in plan.Outbounds) text.Append($"  - service: {Quote(service.Name)}\n    tcp: {Quote(address)}\n");
        SpiffeId[] node = ControlPlane.SpeaksAsNode(plan.Services) ? [SpiffeId.Of(plan.Vertex.Cluster, IdentityKind.Node, plan.Vertex.Name)] : [];
        var portals = plan.Services.Concat(node).Select(id => (id, plan.ServicesOwner!)).Concat(plan.Portals.Select(static id => (id, Environment.UserName))).DistinctBy(static entry => entry.Item1).ToArray();
        if (portals.Length > 0) text.Append("# Programs that act as an identity of this node.\nportals:\n");
        foreach (var (identity, owner) in portals) text.Append($"  - identity: {identity.Path}\n    socket: {Quote(PortalSocket(identity))}\n    owner: {Quote(owner)}\n");
        return text.ToString();
    }

    /// <summary>Where flor serves the portal of an identity, from the node's folder.</summary>
    public static string PortalSocket(SpiffeId identity) => identity.Kind == IdentityKind.Node ? $"run/node-{identity.Name}.portal" : $"run/{identity.Name}.portal";

    // Names may look like numbers or booleans of YAML, addresses hold colons and brackets; none holds a quote.
    private static string Quote(string text) => $"\"{text}\"";
}
