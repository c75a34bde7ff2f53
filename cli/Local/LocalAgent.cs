using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>What the agent of a local node runs, as the <c>agent.yaml</c> in its folder.</summary>
internal static class LocalAgent
{
    public static string ConfigurationFile(string nodeFolder) => Path.Combine(nodeFolder, ControlPlane.AgentFileName);

    public static string ControlSocket(string nodeFolder) => Path.Combine(nodeFolder, "run", "agent.sock");

    /// <summary>Writes it anew: the programs may be others than the last time.</summary>
    public static void Write(string nodeFolder, string node, IBounds bounds, LocalPrograms programs)
    {
        var vertex = SpiffeId.Of(LocalPlan.Cluster, IdentityKind.Vertex, node);
        var plan = new NodePlan(vertex, "", [], [], [], [], []) { Services = ControlPlane.ServicesOf(bounds, vertex) };
        AtomicFile.Write(ConfigurationFile(nodeFolder), ControlPlane.AgentFile(plan, bounds, programs.Find), AtomicFile.EveryoneReads);
    }
}

/// <summary>The programs of a local cluster.</summary>
internal sealed record LocalPrograms(string Agent, string Flor, IReadOnlyDictionary<string, string> Services)
{
    /// <param name="flor">The flor that the user names; null: it is looked for.</param>
    /// <exception cref="CliException">One of them is not found.</exception>
    public static LocalPrograms Look(string? flor) => new(
        BuiltProgram.Agent.Find(), BuiltProgram.Flor.Find(flor),
        new[] { BuiltProgram.Identity, BuiltProgram.Storage, BuiltProgram.Ncs, BuiltProgram.Coordinator }.ToDictionary(static program => program.Name, static program => program.Find()));

    /// <summary>Where a program of this name is; null: there is none.</summary>
    public string? Find(string name) => name == "flor" ? Flor : Services.GetValueOrDefault(name);
}
