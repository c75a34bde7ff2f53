using System.Text;
using Florete.Identities;

namespace Florete.Configuration;

/// <summary>Florete's own services as a node runs them: which of them the bounds let it have, and the <c>agent.yaml</c> that starts them.</summary>
public static class ControlPlane
{
    /// <summary>Of the agent's configuration in the node's folder.</summary>
    public const string AgentFileName = "agent.yaml";

    private const string Agent = "agent";

    // In the order of starting. What is said of a program here is all that its node's files say of it.
    private static readonly ServiceProgram[] Programs =
    [
        new("identity", "florete-identity", static (portal, _) => ["run", "--folder", ".", "--portal", portal], "/health"),
        new("storage", "florete-storage", static (portal, _) => ["run", "--portal", portal, "--state", "state/storage", "--bundle", "bundle.pem", "--bounds", "bounds.signed"], "/v1/health"),
        new("ncs", "florete-ncs", static (portal, node) => ["run", "--portal", portal, "--node", node], "/v1/health") { SpeaksAsNode = true },
        new("coordinator", "florete-coordinator", static (portal, node) => ["run", "--portal", portal, "--node", node], "/v1/health") { SpeaksAsNode = true },
    ];

    /// <summary>The services, the agent's own identity among them, that the bounds let a node hold.</summary>
    public static IReadOnlyList<SpiffeId> ServicesOf(IBounds bounds, SpiffeId vertex) =>
    [
        .. Programs.Select(static program => program.Service).Prepend(Agent)
            .Select(name => SpiffeId.Of(vertex.Cluster, IdentityKind.Service, name)).Where(id => bounds.MayHost(vertex, id).IsAllowed),
    ];

    /// <summary>Does one of them speak with the node's own vertex, so that it needs the portal socket of <c>node/…</c> too?</summary>
    internal static bool SpeaksAsNode(IEnumerable<SpiffeId> services) => services.Any(static id => Programs.Any(program => program.SpeaksAsNode && program.Service == id.Name));

    /// <summary>The text of the first <c>agent.yaml</c> of a node; from then on it is the operator's to edit.</summary>
    /// <param name="plan">The node.</param>
    /// <param name="bounds">Whether the agent may ask a service for its health.</param>
    /// <param name="find">Where a program is, by its name, or the name itself; null: it is not started. Unless given, the agent looks for it.</param>
    public static string AgentFile(NodePlan plan, IBounds bounds, Func<string, string?>? find = null)
    {
        find ??= static name => name;
        var (vertex, services) = (plan.Vertex, plan.Services.ToDictionary(static id => id.Name));
        var text = new StringBuilder();
        text.Append($"""
            # What runs on node {vertex.Name} of cluster {vertex.Cluster}. Run it: florete-agent run --config agent.yaml
            # Relative paths are relative to this file.
            version: 1
            cluster: "{vertex.Cluster}"
            node: "{vertex.Name}"
            state: state/agent
            logs: logs
            control: run/agent.sock

            """);
        var agent = services.GetValueOrDefault(Agent);
        if (agent is not null) text.Append($"portal: {NodeConfiguration.PortalSocket(agent)}\n");
        text.Append($"workloads:\n  - name: flor\n    run: [\"{find("flor") ?? "flor"}\", run, --config, {NodeConfiguration.FileName}]\n    health: {{socket: run/flor.sock}}\n");
        foreach (var program in Programs)
        {
            if (!services.TryGetValue(program.Service, out var id) || find(program.Program) is not { } path) continue;
            var words = program.Words(NodeConfiguration.PortalSocket(id), NodeConfiguration.PortalSocket(SpiffeId.Of(vertex.Cluster, IdentityKind.Node, vertex.Name))).Select(static word => $"\"{word}\"");
            text.Append($"  - name: {program.Service}\n    run: [\"{path}\", {string.Join(", ", words)}]\n");
            // What may not be asked would be taken for dead.
            if (agent is not null && bounds.MayConnect(agent, id).IsAllowed) text.Append($"    health: {{url: \"http://{program.Service}.rete{program.HealthPath}\"}}\n");
        }
        return text.ToString();
    }

    /// <param name="Service">Its identity's name.</param>
    /// <param name="Program">The executable.</param>
    /// <param name="Words">Its arguments, of its portal socket and the node's.</param>
    /// <param name="HealthPath">Answers 200 while it is fit to serve.</param>
    private sealed record ServiceProgram(string Service, string Program, Func<string, string, string[]> Words, string HealthPath)
    {
        public bool SpeaksAsNode { get; init; }
    }
}
