using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Layers.Tests.Transport;

/// <summary>The proof of recursion in one process over real UDP sockets on loopback, each node on a thread of its own.</summary>
[Collection(nameof(WholeVertices))]
public class RealRecursionTests
{
    private static readonly NativeLinkOptions Second = new() { Layer = "second" };
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_stream_crosses_two_hops_of_the_upper_layer_while_a_link_of_the_ring_below_is_cut()
    {
        using var authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
        var bounds = new OpenBounds();
        var nodes = new List<RealNode>();
        for (var i = 0; i < 4; i++) nodes.Add(new RealNode(((char)('a' + i)).ToString(), authority, bounds));
        // Below a ring, above a line: a – b – c, and d, which the layer below alone has.
        for (var i = 0; i < 4; i++) await nodes[i].StartAsync(authority, bounds, i == 0 ? [] : i == 3 ? [nodes[2], nodes[0]] : [nodes[i - 1]]).WaitAsync(Patience);
        var upper = new List<LayerVertex>();
        for (var i = 0; i < 3; i++)
        {
            var node = nodes[i];
            upper.Add(await UpperLayer.StartAsync(new Node(node.Name, node.Loop, node.Pool, node.Vertex), authority, bounds, Second, i == 0 ? [] : [nodes[i - 1].Name]).WaitAsync(Patience));
        }
        var echo = UpperLayer.Hold(authority, nodes[2].Loop, SpiffeId.Of("home", IdentityKind.Service, "echo"));
        await upper[2].PublishAsync(echo, new Echo());
        await FoundAsync(upper[0], echo.Id).WaitAsync(Patience);
        var connection = await upper[0].ConnectAsync(
            UpperLayer.Hold(authority, nodes[0].Loop, SpiffeId.Of("home", IdentityKind.User, "alice")), echo.Id, ConnectOptions.Default).AsTask().WaitAsync(Patience);
        var sent = RecursionTests.Bytes(30_000_000);
        var isCut = false;
        var received = await RecursionTests.ExchangeAsync(connection, sent, count =>
        {
            if (isCut || count < 1_000_000) return;
            isCut = true;
            nodes[0].Socket.Cut(nodes[1].Socket.Local);
            nodes[1].Socket.Cut(nodes[0].Socket.Local);
        }).WaitAsync(Patience);
        Assert.True(isCut);
        Assert.Equal(sent, received);
        var trace = await upper[0].TraceAsync(RecursionTests.Vertex("c")).WaitAsync(Patience);
        Assert.Equal([RecursionTests.Vertex("b"), RecursionTests.Vertex("c")], trace.Select(static h => h.Vertex));
        // The link that was cut is gone below, and a reaches b by way of d.
        var status = await nodes[0].Vertex.StatusAsync();
        Assert.Equal(0, status.Neighbours.Where(static n => n.Neighbour == RecursionTests.Vertex("b")).Sum(static n => n.Links));
        foreach (var vertex in upper) await vertex.DisposeAsync().AsTask().WaitAsync(Patience);
        foreach (var node in nodes) await node.DisposeAsync().AsTask().WaitAsync(Patience);
    }

    private static async Task FoundAsync(LayerVertex vertex, SpiffeId service)
    {
        using var patience = new CancellationTokenSource(Patience);
        await foreach (var change in vertex.DiscoverAsync(new ServiceQuery(service), watch: true, patience.Token))
        {
            if (change.IsPresent) return;
        }
    }

    private sealed class Echo : IAcceptor
    {
        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            _ = StreamConnectionTests.EchoAsync(connection);
            return ValueTask.CompletedTask;
        }
    }

    private sealed class RealNode : IAsyncDisposable
    {
        private readonly UdpLinkPortal links;

        public RealNode(string name, CertificateAuthority authority, IBounds bounds)
        {
            Name = name;
            Loop = new ThreadLoop(name);
            Socket = new CuttableSocket(UdpLinkPortal.OpenSocket(Loop, new IPEndPoint(IPAddress.Loopback, 0)));
            links = new UdpLinkPortal(
                Loop, Pool, Socket, new UdpLinkOptions(),
                new LinkTrust(authority.ClusterIdentity, new PeerVerifier(TrustBundle.Of(authority.Root)), bounds));
        }

        public string Name { get; }

        public ThreadLoop Loop { get; }

        public PacketPool Pool { get; } = new();

        public CuttableSocket Socket { get; }

        public LayerVertex Vertex { get; private set; } = null!;

        public async Task StartAsync(CertificateAuthority authority, IBounds bounds, RealNode[] neighbours)
        {
            await links.UpdateNeighboursAsync([.. neighbours.Select(static n => new UdpNeighbour(RecursionTests.Vertex(n.Name), [n.Socket.Local.ToEndPoint()]))]);
            Vertex = await LayerVertex.StartAsync(
                new LayerVertexOptions(), Loop, Pool, UpperLayer.Hold(authority, Loop, RecursionTests.Vertex(Name)),
                [new Underlay("udp", links, [.. neighbours.Select(static n => RecursionTests.Vertex(n.Name))])],
                new PeerVerifier(TrustBundle.Of(authority.Root), bounds), bounds, null, NullLoggerFactory.Instance);
        }

        public async ValueTask DisposeAsync()
        {
            await Vertex.DisposeAsync();
            await links.DisposeAsync();
            await Loop.DisposeAsync();
        }
    }

    /// <summary>A socket whose way to an address can be cut: what is sent there vanishes.</summary>
    private sealed class CuttableSocket(IDatagramSocket inner) : IDatagramSocket
    {
        private volatile StrongBox? cut;

        public UdpAddress Local => inner.Local;

        public void Cut(UdpAddress to) => cut = new StrongBox(to);

        public void Start(IDatagramReceiver receiver) => inner.Start(receiver);

        public Links.SendResult Send(DatagramBatch batch) => cut is { } gone && gone.Address == batch.To ? Links.SendResult.Sent : inner.Send(batch);

        public void Dispose() => inner.Dispose();

        private sealed record StrongBox(UdpAddress Address);
    }
}
