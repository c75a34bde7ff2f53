using System.Text;
using Florete.Identities;

namespace Florete.Cli;

/// <summary>What a node's folder is made from.</summary>
/// <param name="Vertex">The node's vertex.</param>
/// <param name="Listen">UDP address of its links, <c>HOST:PORT</c>.</param>
/// <param name="Neighbours">Vertices it has links to, with the addresses where they are dialled; none: they dial.</param>
/// <param name="Identities">What else the node holds.</param>
/// <param name="Proxies">Proxy inbounds, open to this machine: where they listen, and as whom they act.</param>
/// <param name="Outbounds">Services it publishes, and where their programs listen.</param>
public sealed record NodePlan(
    SpiffeId Vertex,
    string Listen,
    IReadOnlyList<(string Vertex, IReadOnlyList<string> Addresses)> Neighbours,
    IReadOnlyList<SpiffeId> Identities,
    IReadOnlyList<(string Listen, SpiffeId As)> Proxies,
    IReadOnlyList<(SpiffeId Service, string Address)> Outbounds);

/// <summary>Writes the folder that a node runs from: identities, bundle, bounds, <c>flor.yaml</c>.</summary>
public static class NodeFolder
{
    /// <exception cref="CliException">The folder exists already.</exception>
    public static void Write(string folder, NodePlan plan, OperatorFolder from, TimeSpan life)
    {
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new CliException(
                $"{folder} exists already, and nothing is overwritten.",
                "Choose another folder with --out; to renew what the node holds: florctl identity issue.");
        }
        Issue(folder, plan.Identities.Prepend(plan.Vertex), from, life);
        File.Copy(from.BundleFile, Path.Combine(folder, "bundle.pem"));
        File.Copy(from.SignedBoundsFile, Path.Combine(folder, "bounds.signed"));
        AtomicFile.Write(Path.Combine(folder, "flor.yaml"), Configuration(plan), AtomicFile.EveryoneReads);
    }

    /// <summary>Issues or renews identities in a node's folder.</summary>
    public static void Issue(string folder, IEnumerable<SpiffeId> identities, OperatorFolder from, TimeSpan life)
    {
        var now = DateTimeOffset.UtcNow;
        foreach (var id in identities) SvidFiles.Write(IdentitiesFolder(folder), from.Authority.Issue(id, life, now));
    }

    public static string IdentitiesFolder(string folder) => Path.Combine(folder, "identities");

    /// <summary>The text of <c>flor.yaml</c>.</summary>
    public static string Configuration(NodePlan plan)
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
        return text.ToString();
    }

    // Names may look like numbers or booleans of YAML, addresses hold colons and brackets; none holds a quote.
    private static string Quote(string text) => $"\"{text}\"";
}
