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
/// <param name="Portals">Identities whose programs have a portal socket: <c>run/NAME.portal</c>.</param>
public sealed record NodePlan(
    SpiffeId Vertex,
    string Listen,
    IReadOnlyList<(string Vertex, IReadOnlyList<string> Addresses)> Neighbours,
    IReadOnlyList<SpiffeId> Identities,
    IReadOnlyList<(string Listen, SpiffeId As)> Proxies,
    IReadOnlyList<(SpiffeId Service, string Address)> Outbounds,
    IReadOnlyList<SpiffeId> Portals);

/// <summary>Writes the folder that a node runs from: identities, bundle, bounds, <c>flor.yaml</c>.</summary>
public static class NodeFolder
{
    private const string MakingSuffix = ".making";
    private const string ConfigurationFile = "flor.yaml";

    /// <exception cref="CliException">The folder exists already.</exception>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static void Write(string folder, NodePlan plan, OperatorFolder from, TimeSpan life)
    {
        using var making = Begin(folder, plan, from, life);
        making.Complete();
    }

    /// <summary>
    /// Makes all of the folder but the bounds, under another name beside it, or in it if it is there already (it may be the mount point of a
    /// volume, which cannot be replaced), so that a failure leaves nothing.
    /// </summary>
    /// <exception cref="CliException">The folder exists already.</exception>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static Making Begin(string folder, NodePlan plan, OperatorFolder from, TimeSpan life)
    {
        CheckIsFree(folder);
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var beside = new Making(target, Path.Combine(Path.GetDirectoryName(target)!, $".{Path.GetFileName(target)}{MakingSuffix}"), from);
        var making = Directory.Exists(target) ? new Making(target, Path.Combine(target, MakingSuffix), from) : beside;
        try
        {
            beside.Clear();
            making.Clear();
            Issue(making.Path, plan.Identities.Prepend(plan.Vertex), from, life);
            File.Copy(from.BundleFile, Path.Combine(making.Path, "bundle.pem"));
            AtomicFile.Write(Path.Combine(making.Path, ConfigurationFile), Configuration(plan), AtomicFile.EveryoneReads);
            return making;
        }
        catch
        {
            making.Dispose();
            throw;
        }
    }

    /// <exception cref="CliException">The folder exists already, and holds more than what a killed run has left.</exception>
    public static void CheckIsFree(string folder)
    {
        if (!Directory.Exists(folder) || Directory.EnumerateFileSystemEntries(folder).All(static e => Path.GetFileName(e) == MakingSuffix)) return;
        throw new CliException(
            $"{folder} exists already, and nothing is overwritten.",
            "Choose another folder with --out; to renew what the node holds: florctl identity issue.");
    }

    /// <summary>Is it a node's folder, and complete?</summary>
    public static bool IsMade(string folder) => !folder.EndsWith(MakingSuffix, StringComparison.Ordinal) && File.Exists(Path.Combine(folder, ConfigurationFile));

    /// <summary>Issues or renews identities in a node's folder; all, or nothing is written.</summary>
    /// <exception cref="IdentityException">The root cannot issue.</exception>
    public static void Issue(string folder, IEnumerable<SpiffeId> identities, OperatorFolder from, TimeSpan life)
    {
        var now = DateTimeOffset.UtcNow;
        var revoked = from.ReadRevocations();
        var issued = identities.Select(id => from.Authority.Issue(id, life, IssueTime(revoked.Find(id), now))).ToArray();
        foreach (var svid in issued) SvidFiles.Write(IdentitiesFolder(folder), svid);
    }

    // What begins before the revocation would be refused (docs/protocols/revocation.md "Clocks").
    private static DateTimeOffset IssueTime(Revocation? revocation, DateTimeOffset now) => revocation?.ReissueTime(now) ?? now;

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
        if (plan.Portals.Count > 0) text.Append("# Programs that act as an identity of this node.\nportals:\n");
        foreach (var identity in plan.Portals) text.Append($"  - identity: {identity.Path}\n    socket: {Quote(PortalSocket(identity))}\n    owner: {Quote(Environment.UserName)}\n");
        return text.ToString();
    }

    /// <summary>Where flor serves the portal of an identity, from the node's folder.</summary>
    public static string PortalSocket(SpiffeId identity) => $"run/{identity.Name}.portal";

    // Names may look like numbers or booleans of YAML, addresses hold colons and brackets; none holds a quote.
    private static string Quote(string text) => $"\"{text}\"";

    /// <summary>A folder that is being made, and is removed unless it is completed.</summary>
    public sealed class Making(string target, string path, OperatorFolder from) : IDisposable
    {
        internal string Path => path;

        /// <summary>Adds the bounds as they are signed now, and gives the folder its name.</summary>
        public void Complete()
        {
            File.Copy(from.SignedBoundsFile, System.IO.Path.Combine(path, "bounds.signed"));
            if (!Directory.Exists(target))
            {
                Directory.Move(path, target);
                return;
            }
            // The configuration last: with it the folder is made.
            foreach (var entry in Directory.GetFileSystemEntries(path).OrderBy(static e => System.IO.Path.GetFileName(e) == ConfigurationFile))
            {
                Directory.Move(entry, System.IO.Path.Combine(target, System.IO.Path.GetFileName(entry)));
            }
            Directory.Delete(path);
        }

        public void Dispose() => Clear();

        // Also what a run that was killed has left.
        internal void Clear()
        {
            if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
        }
    }
}
