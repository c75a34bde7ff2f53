using Florete.Agent.Configuration;
using Florete.Configuration;
using Florete.Identities;

namespace Florete.Agent.Tests;

/// <summary>The agent.yaml that florctl node add and florete-agent join write.</summary>
public class ControlPlaneTests
{
    private static readonly SpiffeId Vertex = SpiffeId.Of("home", IdentityKind.Vertex, "a");

    private const string Hosts = "hosts:\n  - {node: '*', identities: [service/agent, service/identity, service/storage]}\n";
    private const string Connect = "connect:\n  - {from: [service/agent], to: [service/identity, service/storage]}\n";

    [Fact]
    public void It_starts_flor_and_each_service_that_the_bounds_let_the_node_hold_and_asks_them_for_their_health()
    {
        var read = Read(Hosts + Connect);
        Assert.Equal(("home", "a", "/n/run/agent.portal", "/n/run/agent.sock"), (read.Cluster, read.Node, read.PortalSocket, read.ControlSocket));
        Assert.Equal(["flor", "identity", "storage"], read.Workloads.Select(static one => one.Name));
        Assert.Equal(["flor", "florete-identity", "florete-storage"], read.Workloads.Select(static one => one.Program));
        Assert.Equal("/n/run/flor.sock", read.Workloads[0].Health!.Socket);
        Assert.Equal(["http://identity.rete/health", "http://storage.rete/v1/health"], read.Workloads.Skip(1).Select(static one => one.Health!.Url!.ToString()));
        Assert.Contains("run/storage.portal", read.Workloads[2].Arguments);
    }

    [Fact]
    public void What_speaks_with_the_vertex_has_the_socket_of_the_node_too()
    {
        var read = Read("hosts:\n  - {node: '*', identities: [service/ncs, service/coordinator]}\n");
        Assert.Equal(["flor", "ncs", "coordinator"], read.Workloads.Select(static one => one.Name));
        Assert.All(read.Workloads.Skip(1), static one => Assert.Equal("run/node-a.portal", one.Arguments[^1]));
        var plan = new NodePlan(Vertex, "0.0.0.0:1", [], [], [], [], []) { ServicesOwner = "me", Services = [SpiffeId.Of("home", IdentityKind.Service, "ncs")] };
        Assert.Contains("  - identity: node/a\n    socket: \"run/node-a.portal\"\n    owner: \"me\"\n", NodeConfiguration.Text(plan), StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_agent_may_not_ask_counts_as_ready_while_it_runs()
    {
        Assert.All(Read(Hosts).Workloads.Skip(1), static one => Assert.Null(one.Health));
        var without = Read(Hosts.Replace("service/agent, ", "", StringComparison.Ordinal) + Connect);
        Assert.Null(without.PortalSocket);
        Assert.All(without.Workloads.Skip(1), static one => Assert.Null(one.Health));
    }

    [Fact]
    public void A_program_that_is_not_there_is_left_out_and_one_that_is_found_is_named_whole()
    {
        Assert.Equal(["flor"], Read("").Workloads.Select(static one => one.Name));
        var found = Read(Hosts + Connect, static name => name == "florete-storage" ? null : $"/opt/my programs/{name}");
        Assert.Equal(["/opt/my programs/flor", "/opt/my programs/florete-identity"], found.Workloads.Select(static one => one.Program));
    }

    private static AgentConfiguration Read(string rules, Func<string, string?>? find = null)
    {
        Assert.True(BoundsDocument.TryParse($"version: 1\ncluster: home\n{rules}", "bounds.yaml", out var document, out var flaws), string.Join('\n', flaws));
        var bounds = new Bounds(document);
        var plan = new NodePlan(Vertex, "", [], [], [], [], []) { ServicesOwner = "me", Services = ControlPlane.ServicesOf(bounds, Vertex) };
        var text = ControlPlane.AgentFile(plan, bounds, find);
        var read = AgentFile.Parse(text, "/n/agent.yaml", out var problems);
        Assert.True(problems.Count == 0, string.Join('\n', problems) + text);
        return read!;
    }
}
