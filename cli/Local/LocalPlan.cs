using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Florete.Configuration;
using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>How the nodes of a local cluster are linked.</summary>
public enum Topology
{
    Line,
    Ring,
}

/// <summary>A cluster "home" on this machine: nodes a, b, c … with links over loopback, a storage on each, a proxy on the first, a web service on the last.</summary>
/// <param name="Nodes">How many; 1 to <see cref="MaxNodes"/>.</param>
/// <param name="Topology">A ring needs three.</param>
/// <param name="BasePort">UDP port of the first node; the others follow. The sample listens on the TCP port after the last.</param>
/// <param name="ProxyPort">TCP port of the proxy.</param>
public sealed record LocalPlan(int Nodes, Topology Topology, int BasePort, int ProxyPort)
{
    public const string Cluster = "home";
    public const string Service = "hello";

    /// <summary>The letters of the alphabet.</summary>
    public const int MaxNodes = 26;

    private static readonly SpiffeId You = SpiffeId.Of(Cluster, IdentityKind.User, "you");
    private static readonly SpiffeId Hello = SpiffeId.Of(Cluster, IdentityKind.Service, Service);

    public int SamplePort => BasePort + Nodes;

    public IEnumerable<string> Names => Enumerable.Range(0, Nodes).Select(Name);

    /// <summary>Kept in the folder: a cluster of the same shape is used again.</summary>
    public string Shape => string.Create(CultureInfo.InvariantCulture, $"3 {Nodes} {Topology} {BasePort} {ProxyPort}");

    private IEnumerable<(int A, int B)> Links => Enumerable.Range(0, Nodes - 1).Select(i => (i, i + 1))
        .Concat(Topology == Topology.Ring ? [(Nodes - 1, 0)] : []);

    /// <exception cref="CliException">A number is out of range.</exception>
    public LocalPlan Validated()
    {
        if (Nodes is < 1 or > MaxNodes) throw new CliException($"A local cluster has 1 to {MaxNodes} nodes, not {Nodes}.", "Choose another number with --nodes.");
        if (Topology == Topology.Ring && Nodes < 3) throw new CliException("A ring has at least three nodes.", "Choose --nodes 3 or more, or --topology line.");
        if (BasePort is < 1024 || SamplePort > ushort.MaxValue) throw new CliException($"The ports from {BasePort} on do not fit.", "Choose --base-port from 1024 to 65000.");
        if (ProxyPort is < 1 or > ushort.MaxValue) throw new CliException($"{ProxyPort} is not a port.", "Choose --proxy-port from 1 to 65535.");
        return this;
    }

    /// <summary>The first node, made in the operator's folder. The others join, so it dials nobody.</summary>
    public NodePlan First(IBounds bounds)
    {
        var vertex = SpiffeId.Of(Cluster, IdentityKind.Vertex, Name(0));
        return new NodePlan(vertex, Endpoint(BasePort), [], Nodes == 1 ? [Hello] : [], [(Endpoint(ProxyPort), You)], Nodes == 1 ? [(Hello, Endpoint(SamplePort))] : [], [You])
        {
            LetsJoin = true,
            ServicesOwner = Environment.UserName,
            Services = ControlPlane.ServicesOf(bounds, vertex),
        };
    }

    /// <summary>How a node after the first joins: through those of its neighbours that come before it.</summary>
    internal LocalJoin Join(int index) => new(
        Name(index),
        Endpoint(BasePort + index),
        [.. Links.Where(link => (link.A == index && link.B < index) || (link.B == index && link.A < index)).Select(link => link.A == index ? link.B : link.A)
            .Select(other => new JoinContact(Name(other), Endpoint(BasePort + other)))],
        index == Nodes - 1 ? (Service, Endpoint(SamplePort)) : null,
        You.Path);

    public string Bounds(long version)
    {
        var links = string.Concat(Links.Select(link => $"  - between: [{Name(link.A)}, {Name(link.B)}]\n"));
        return $$"""
            # What is allowed in the local cluster. Change it, raise the version, and: florctl bounds sign bounds.yaml
            version: {{version}}
            cluster: {{Cluster}}
            links:{{(Nodes == 1 ? " []" : "")}}
            {{links}}hosts:
              - {node: '*', identities: [service/agent, service/identity, service/storage, service/ncs, service/coordinator, user/you]}
              - {node: {{Name(Nodes - 1)}}, identities: [service/hello]}
            coordinate: ['*']
            connect:
              - {from: [user/you], to: [service/hello, service/storage, service/coordinator, service/ncs]}
              # Replicas exchange what they have; agents ask for the health of what they run; the audit trail is stored.
              - {from: [service/storage, service/agent, service/identity], to: [service/storage]}
              # Nodes carry the requests of those who join, and ask for themselves.
              - {from: ['node/*', service/identity, service/agent], to: [service/identity]}
              # The coordinator reads which paths are wanted, and has them computed.
              - {from: [service/coordinator], to: [service/storage, service/ncs]}
              - {from: [service/ncs], to: [service/coordinator]}
              - {from: [service/agent], to: [service/ncs, service/coordinator]}
            store:
              - {collection: '*', read: [user/you], write: [user/you]}
              - {collection: paths, read: [service/coordinator]}
              - {collection: audit, read: [service/identity], write: [service/identity]}

            """;
    }

    /// <exception cref="CliException">A port is taken; the message names it.</exception>
    public void CheckPorts()
    {
        for (var i = 0; i < Nodes; i++) Check(SocketType.Dgram, BasePort + i, "--base-port");
        Check(SocketType.Stream, SamplePort, "--base-port");
        Check(SocketType.Stream, ProxyPort, "--proxy-port");
    }

    private static void Check(SocketType type, int port, string option)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, type, type == SocketType.Dgram ? ProtocolType.Udp : ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
        }
        catch (SocketException e)
        {
            var protocol = type == SocketType.Dgram ? "UDP" : "TCP";
            throw new CliException(
                e.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"{protocol} port {port} of 127.0.0.1 is taken."
                    : $"{protocol} port {port} of 127.0.0.1 cannot be used: {e.Message}.",
                $"See who has it with 'ss -anp | grep :{port}' and stop that, or choose another with {option}.");
        }
    }

    private static string Name(int index) => ((char)('a' + index)).ToString();

    private static string Endpoint(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
}
