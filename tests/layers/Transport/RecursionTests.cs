using System.IO.Pipelines;
using Florete.Identities;
using Florete.Links;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.Layers.Tests.Transport;

/// <summary>
/// A layer whose links are connections of a layer: <c>udp</c> ⇒ cluster layer ⇒ a second layer (⇒ a third), whole vertices in virtual time.
/// </summary>
[Collection(nameof(WholeVertices))]
public class RecursionTests
{
    private static readonly NativeLinkOptions Second = new() { Layer = "second" };
    private static readonly NativeLinkOptions Third = new() { Layer = "third", KeepAlive = TimeSpan.FromSeconds(1) };

    [Fact]
    public void A_stream_crosses_a_layer_whose_links_are_connections_of_the_layer_below()
    {
        using var mesh = new Mesh(3);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        var connection = Connect(mesh, upper, 0, 2);
        Assert.Equal(Vertex("c"), connection.RemoteVertex);
        var sent = Bytes(3_000_000);
        Assert.Equal(sent, mesh[0].Run(() => ExchangeAsync(connection, sent)));
        // By way of b, hop by hop in the upper layer, though it is the layer below that moves the packets.
        var trace = mesh[0].Run(() => upper[0].TraceAsync(Vertex("c")));
        Assert.Equal([Vertex("b"), Vertex("c")], trace.Select(static h => h.Vertex));
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_stream_goes_on_with_right_data_when_a_link_of_the_ring_below_is_cut_under_it()
    {
        using var mesh = new Mesh(4, isRing: true);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        var connection = Connect(mesh, upper, 0, 2);
        mesh.Clock.Run(TimeSpan.FromSeconds(6));
        var before = Neighbours(mesh, upper);
        var sent = Bytes(20_000_000);
        var exchange = mesh[0].Loop.RunAsync(() => ExchangeAsync(connection, sent));
        mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        Assert.False(exchange.IsCompleted);
        mesh.Cut(0, 1);
        mesh.Clock.Run(TimeSpan.FromSeconds(2));
        mesh.Cut(0, 1, isCut: false);
        mesh.Clock.Run(TimeSpan.FromSeconds(8));
        mesh.Cut(1, 2);
        Assert.Equal(sent, mesh.Wait(exchange, 120));
        // The layer below went round; the one above saw no link end.
        Assert.Equal(before, Neighbours(mesh, upper));
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_stream_goes_round_in_the_upper_layer_when_a_vertex_of_both_is_lost()
    {
        using var mesh = new Mesh(4, isRing: true);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: true);
        var connection = Connect(mesh, upper, 0, 2);
        mesh.Clock.Run(TimeSpan.FromSeconds(6));
        var sent = Bytes(20_000_000);
        var exchange = mesh[0].Loop.RunAsync(() => ExchangeAsync(connection, sent));
        mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        Assert.False(exchange.IsCompleted);
        mesh.Cut(0, 1);
        mesh.Cut(1, 2);
        Assert.Equal(sent, mesh.Wait(exchange, 120));
        // Whichever way the flow's label chose at first: by now both ends know that b is gone.
        mesh.Clock.Run(TimeSpan.FromSeconds(5));
        var trace = mesh[0].Run(() => upper[0].TraceAsync(Vertex("c")));
        Assert.Equal([Vertex("d"), Vertex("c")], trace.Select(static h => h.Vertex));
        Dispose(mesh, upper);
    }

    [Fact]
    public void Two_that_dial_each_other_come_to_one_link_that_stays()
    {
        using var mesh = new Mesh(2);
        var upper = new List<LayerVertex>();
        for (var i = 0; i < 2; i++)
        {
            var (member, node) = (mesh[i], new Node(Name(i), mesh[i].Loop, mesh[i].Pool, mesh[i].Vertex));
            upper.Add(member.Run(() => UpperLayer.StartAsync(node, mesh.Authority, mesh.Bounds, Second, Name(1 - i))));
        }
        mesh.Clock.Run(TimeSpan.FromSeconds(10));
        var before = Neighbours(mesh, [.. upper]);
        mesh.Clock.Run(TimeSpan.FromSeconds(60));
        Assert.All(before, static n => Assert.Equal(1, n.Links));
        Assert.Equal(before, Neighbours(mesh, [.. upper]));
        Dispose(mesh, [.. upper]);
    }

    [Fact]
    public void A_vertex_of_the_upper_layer_that_comes_back_is_linked_again()
    {
        using var mesh = new Mesh(3);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        var first = Connect(mesh, upper, 0, 2);
        Assert.Equal(Vertex("c"), first.RemoteVertex);
        Dispose(mesh, [upper[1]], at: 1);
        mesh.Clock.Run(TimeSpan.FromSeconds(5));
        Assert.Empty(mesh[0].Run(() => upper[0].StatusAsync()).Forwarding.Routes);
        upper[1] = mesh[1].Run(() => UpperLayer.StartAsync(
            new Node("b", mesh[1].Loop, mesh[1].Pool, mesh[1].Vertex), mesh.Authority, mesh.Bounds, Second, "a"));
        mesh.Clock.Run(TimeSpan.FromSeconds(10));
        // The connection was cut off for less than a minute: it goes on.
        var sent = Bytes(100_000);
        Assert.Equal(sent, mesh[0].Run(() => ExchangeAsync(first, sent)));
        Dispose(mesh, upper);
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.05)]
    public void Loss_below_is_measured_above_and_takes_no_link_down(double loss)
    {
        using var mesh = new Mesh(3, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(5), Jitter = TimeSpan.FromMilliseconds(3), Loss = loss });
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        var connection = Connect(mesh, upper, 0, 2);
        var before = Neighbours(mesh, upper);
        var sent = Bytes(300_000);
        Assert.Equal(sent, mesh[0].Run(() => ExchangeAsync(connection, sent), 300));
        // Of 5 % something is seen within a minute, whatever the chances; of 1 % perhaps not.
        uint seen = 0;
        for (var i = 0; i < 60; i++)
        {
            mesh.Clock.Run(TimeSpan.FromSeconds(1));
            seen = Math.Max(seen, Assert.Single(mesh[0].Run(() => upper[0].StatusAsync()).Forwarding.Adjacencies).LossPartsPerMillion);
        }
        Assert.True(seen > 0 || loss < 0.05);
        Assert.Equal(before, Neighbours(mesh, upper));
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_third_layer_stands_on_the_second()
    {
        using var mesh = new Mesh(3);
        var second = Stack(mesh, Lower(mesh), Second, isRing: false);
        var third = Stack(mesh, [.. second], Third, isRing: false);
        var connection = Connect(mesh, third, 0, 2);
        var sent = Bytes(1_000_000);
        Assert.Equal(sent, mesh[0].Run(() => ExchangeAsync(connection, sent)));
        Dispose(mesh, third);
        Dispose(mesh, second);
    }

    [Fact]
    public void The_portal_of_native_links_shows_the_vertices_of_its_layer_alone()
    {
        using var mesh = new Mesh(3);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        mesh[0].Discover(Second.ServiceOf(Vertex("b")));
        mesh[0].Discover(Second.ServiceOf(Vertex("c")));
        mesh[0].Publish(mesh.Hold(IdentityKind.Service, "web"), StreamConnectionTests.EchoAsync);
        var links = new NativeLinkPortal(mesh[0].Vertex, mesh.Hold(IdentityKind.Service, "second-a"), Second, mesh.Bounds);
        var found = mesh[0].Run(async () =>
        {
            var vertices = new List<SpiffeId>();
            await foreach (var change in links.DiscoverAsync(ServiceQuery.All, watch: false)) vertices.Add(change.Vertex);
            return vertices;
        });
        Assert.Equal([Vertex("b"), Vertex("c")], found.Where(static v => v != Vertex("a")).Order());
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_link_is_refused_to_a_service_that_stands_for_no_vertex_and_to_a_pair_without_a_rule()
    {
        using var mesh = new Mesh(2);
        var upper = Stack(mesh, Lower(mesh), Second, isRing: false);
        mesh[0].Discover(Second.ServiceOf(Vertex("b")));
        var stranger = Assert.Throws<PortalException>(() => mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.User, "mallory"), Second.ServiceOf(Vertex("b")), new ConnectOptions(ConnectionMode.Datagram))));
        Assert.Equal(PortalError.Refused, stranger.Error);
        Assert.Contains("no other vertex of layer 'second'", stranger.Message, StringComparison.Ordinal);
        var links = new NativeLinkPortal(mesh[0].Vertex, mesh.Hold(IdentityKind.Service, "second-a"), Second, new FakeBounds { Forbidden = { Vertex("b") } });
        var forbidden = Assert.Throws<PortalException>(() => mesh[0].Run(async () => await links.ConnectAsync(
            mesh.Hold(IdentityKind.Vertex, "a"), Vertex("b"), new ConnectOptions(ConnectionMode.Datagram))));
        Assert.Equal(PortalError.Refused, forbidden.Error);
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_neighbour_that_talks_nonsense_over_a_link_does_no_harm_and_its_goodbye_ends_it()
    {
        using var mesh = new Mesh(2);
        // Only a has a vertex above: b's would begin a link of its own, and one of the two would be ended as the older one.
        var upper = Stack(mesh, [mesh[0].Vertex], Second, isRing: false);
        mesh[1].Discover(Second.ServiceOf(Vertex("a")));
        // An end of a link that is no native link but has the right to be one.
        var raw = mesh[1].Run(async () => await mesh[1].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.Service, "second-b"), Second.ServiceOf(Vertex("a")), new ConnectOptions(ConnectionMode.Datagram)));
        var random = new Random(4);
        for (var i = 0; i < 500; i++)
        {
            var nonsense = new byte[random.Next(60)];
            random.NextBytes(nonsense);
            // Often a type that means something, but not yet goodbye.
            if (nonsense.Length > 0 && (i % 2 == 0 || nonsense[0] == 6)) nonsense[0] = (byte)random.Next(6);
            SendRaw(mesh[1], raw, nonsense);
            mesh.Clock.Run(TimeSpan.FromMilliseconds(2));
        }
        Assert.False(raw.Closed.IsCancellationRequested);
        SendRaw(mesh[1], raw, [6, 0]);
        mesh.WaitFor(() => raw.Closed.IsCancellationRequested, 5);
        Dispose(mesh, upper);
    }

    [Fact]
    public void A_link_whose_other_end_says_nothing_goes_down()
    {
        using var mesh = new Mesh(2);
        // Only a has a vertex above: b's would begin a link of its own, and one of the two would be ended as the older one.
        var upper = Stack(mesh, [mesh[0].Vertex], Second, isRing: false);
        mesh[1].Discover(Second.ServiceOf(Vertex("a")));
        var raw = mesh[1].Run(async () => await mesh[1].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.Service, "second-b"), Second.ServiceOf(Vertex("a")), new ConnectOptions(ConnectionMode.Datagram)));
        mesh.WaitFor(() => raw.Closed.IsCancellationRequested, 10);
        Assert.Equal(PortalError.Unreachable, raw.CloseReason!.Error);
        Dispose(mesh, upper);
    }

    internal static byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    internal static SpiffeId Vertex(string name) => SpiffeId.Of("home", IdentityKind.Vertex, name);

    /// <summary>Sends, and receives what comes back until the end; <paramref name="progress"/> hears how many bytes came.</summary>
    internal static async Task<byte[]> ExchangeAsync(PortalConnection connection, byte[] sent, Action<int>? progress = null)
    {
        var writing = WriteAsync(connection.Stream!.Output, sent);
        var received = new MemoryStream();
        while (true)
        {
            var read = await connection.Stream.Input.ReadAsync();
            foreach (var piece in read.Buffer) received.Write(piece.Span);
            connection.Stream.Input.AdvanceTo(read.Buffer.End);
            progress?.Invoke((int)received.Length);
            if (read.IsCompleted) break;
        }
        await writing;
        await connection.Stream.Input.CompleteAsync();
        return received.ToArray();
    }

    private static async Task WriteAsync(PipeWriter output, byte[] sent)
    {
        for (var at = 0; at < sent.Length; at += 50_000) await output.WriteAsync(sent.AsMemory(at, Math.Min(50_000, sent.Length - at)));
        await output.CompleteAsync();
    }

    private static IPortal[] Lower(Mesh mesh) => [.. Enumerable.Range(0, mesh.Count).Select(i => mesh[i].Vertex)];

    private static LayerVertex[] Stack(Mesh mesh, IPortal[] below, NativeLinkOptions options, bool isRing) =>
    [
        .. below.Select((portal, i) =>
        {
            List<string> neighbours = i > 0 ? [Name(i - 1)] : [];
            if (isRing && i == below.Length - 1) neighbours.Add(Name(0));
            var member = mesh[i];
            return member.Run(() => UpperLayer.StartAsync(new Node(Name(i), member.Loop, member.Pool, portal), mesh.Authority, mesh.Bounds, options, [.. neighbours]));
        }),
    ];

    private static NeighbourStatus[] Neighbours(Mesh mesh, LayerVertex[] layer) =>
        [.. layer.SelectMany((vertex, i) => mesh[i].Run(() => vertex.StatusAsync()).Neighbours)];

    private static string Name(int index) => ((char)('a' + index)).ToString();

    /// <summary>An echo at one vertex of the upper layer, and a connection to it from another.</summary>
    private static PortalConnection Connect(Mesh mesh, LayerVertex[] layer, int from, int to)
    {
        var service = mesh.Hold(IdentityKind.Service, "echo");
        mesh[to].Run(async () => await layer[to].PublishAsync(service, new Echo(mesh[to].Loop)));
        for (var tries = 0; tries < 500; tries++)
        {
            if (mesh[from].Run(() => layer[from].StatusAsync()).Services.Any(s => s.Service == service.Id)) break;
            mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        }
        return mesh[from].Run(async () => await layer[from].ConnectAsync(mesh.Hold(IdentityKind.User, "alice"), service.Id, ConnectOptions.Default));
    }

    private static void Dispose(Mesh mesh, LayerVertex[] layer, int at = 0)
    {
        for (var i = 0; i < layer.Length; i++)
        {
            var vertex = layer[i];
            mesh[at + i].Run(async () =>
            {
                await vertex.DisposeAsync();
                return true;
            });
        }
    }

    private static void SendRaw(Member member, PortalConnection connection, byte[] bytes) => member.Loop.Post(() =>
    {
        var packet = member.Pool.Rent();
        bytes.CopyTo(packet.Append(bytes.Length));
        connection.Datagrams!.Send(packet, TrafficClass.Bulk);
    });

    internal sealed class Echo(EventLoop loop) : IAcceptor
    {
        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            loop.Post(() => _ = StreamConnectionTests.EchoAsync(connection));
            return ValueTask.CompletedTask;
        }
    }
}
