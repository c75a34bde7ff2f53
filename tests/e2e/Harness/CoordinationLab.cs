using System.Text.Json;
using Florete.Identities;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Nodes a–b–c in a line, each with flor and florete-coordinator; the bounds name all of them.</summary>
public sealed class CoordinationLab
{
    private readonly Lab lab;
    private readonly Dictionary<string, ManagedProcess> programs = [];

    private CoordinationLab(Lab lab, Cluster cluster) => (this.lab, Cluster) = (lab, cluster);

    public Cluster Cluster { get; }

    public static async Task<CoordinationLab> StartAsync(Lab lab)
    {
        ArgumentNullException.ThrowIfNull(lab);
        string[] nodes = ["a", "b", "c"];
        var made = new CoordinationLab(lab, await Cluster.StartAsync(lab, new Plan
        {
            Nodes = nodes,
            Links = [("a", "b"), ("b", "c")],
            Portals = [.. nodes.SelectMany(static node => new[] { (node, $"node/{node}"), (node, "service/coordinator") })],
            Coordinators = nodes,
        }));
        foreach (var node in nodes)
        {
            made.Start(node);
        }

        return made;
    }

    public void Start(string node)
    {
        var at = Cluster[node];
        programs[node] = lab.Start($"coordinator of {node}", at.Network, [Programs.Coordinator, "run", "--portal", at.PortalOf("coordinator"), "--node", at.PortalOf(node)]);
    }

    public ManagedProcess Program(string node) => programs[node];

    public void Freeze(string node) => Assert.Equal(0, Native.Kill(programs[node].Id, Native.Sigstop));

    public void GoOn(string node) => Assert.Equal(0, Native.Kill(programs[node].Id, Native.Sigcont));

    /// <summary>Waits until these nodes, which can reach each other, have one coordinator, and its decision is in force at each; returns its epoch and how long it took.</summary>
    /// <param name="nodes">A whole group.</param>
    /// <param name="above">The epoch is greater than this.</param>
    public Task<(Epoch Epoch, TimeSpan Took)> CoordinatedAsync(string[] nodes, Epoch above = default) => CoordinationReport.AgreedAsync(
        nodes.ToDictionary(static node => node, node => Cluster[node].ControlSocket), above, () => string.Join('\n', programs.Select(static one => $"{one.Key}: {one.Value.Log}")));

    /// <summary>Decisions of old epochs that a node has refused.</summary>
    public async Task<long> StaleAsync(string node) =>
        (await StatusAsync(node)).GetProperty("counters").TryGetProperty("coordination.refused.staleEpoch", out var count) ? count.GetInt64() : 0;

    /// <summary>The newest epoch that a node knows.</summary>
    public async Task<Epoch?> NewestAsync(string node) => (await CoordinationReport.ReadAsync(Cluster[node].ControlSocket)).Newest;

    private Task<JsonElement> StatusAsync(string node) => Status.ReadAsync(Cluster[node].ControlSocket);
}
