using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>What the agent of a local node runs, as the <c>agent.yaml</c> in its folder.</summary>
internal static class LocalAgent
{
    public static readonly SpiffeId Agent = SpiffeId.Of(LocalPlan.Cluster, IdentityKind.Service, "agent");
    public static readonly SpiffeId Storage = SpiffeId.Of(LocalPlan.Cluster, IdentityKind.Service, "storage");

    public static string ConfigurationFile(string nodeFolder) => Path.Combine(nodeFolder, "agent.yaml");

    public static string ControlSocket(string nodeFolder) => Path.Combine(nodeFolder, "run", "agent.sock");

    /// <summary>Writes it anew: the programs may be others than the last time.</summary>
    public static void Write(string nodeFolder, string node, LocalPrograms programs) => AtomicFile.Write(ConfigurationFile(nodeFolder), $$"""
        # What node {{node}} of the local cluster runs; written by florctl local up. Run it: florete-agent run --config agent.yaml
        version: 1
        cluster: {{LocalPlan.Cluster}}
        node: {{node}}
        state: state/agent
        logs: logs
        control: run/agent.sock
        portal: {{NodeConfiguration.PortalSocket(Agent)}}
        workloads:
          - name: flor
            run: ["{{programs.Flor}}", run, --config, flor.yaml]
            health: {socket: run/flor.sock}
          - name: storage
            run: ["{{programs.Storage}}", run, --portal, {{NodeConfiguration.PortalSocket(Storage)}}, --state, state/storage, --bundle, bundle.pem, --bounds, bounds.signed]
            health: {url: "http://storage.rete/v1/health"}

        """, AtomicFile.EveryoneReads);
}

/// <summary>The programs of a local cluster.</summary>
internal sealed record LocalPrograms(string Agent, string Flor, string Storage)
{
    /// <param name="flor">The flor that the user names; null: it is looked for.</param>
    /// <exception cref="CliException">One of them is not found.</exception>
    public static LocalPrograms Find(string? flor) => new(BuiltProgram.Agent.Find(), BuiltProgram.Flor.Find(flor), BuiltProgram.Storage.Find());
}
