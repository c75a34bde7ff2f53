using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers.Tests.Transport;

/// <summary>SVIDs are renewed, or not, under connections that live longer than they (docs/protocols/transport.md "Renewal").</summary>
[Collection(nameof(WholeVertices))]
public class RenewalTests
{
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Connections_live_on_while_both_svids_are_renewed_and_end_when_one_is_not(bool isCallerRenewed, bool isTargetRenewed)
    {
        using var mesh = new Mesh(2, nodesIssue: true);
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice", Life), mesh.Hold(IdentityKind.Service, "echo", Life));
        mesh[1].Publish(target, static c => c.Stream is null ? ReflectAsync(c) : StreamConnectionTests.EchoAsync(c));
        mesh[0].Discover(target.Id);
        var stream = mesh[0].Connect(caller, target.Id);
        var datagrams = mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(caller, target.Id, new ConnectOptions(ConnectionMode.Datagram)));
        var sink = new Ends.Sink();
        datagrams.Datagrams!.Sink = sink;
        var transport = Assert.Single(mesh[0].Run(async () => await mesh[0].Vertex.StatusAsync()).Transport.Connections);
        Assert.Equal(2, transport.Users);
        // Twenty lives of an SVID; renewed at half of each, as its holders do it.
        for (var i = 0; i < 40; i++)
        {
            mesh.Clock.Run(Life / 2);
            if (isCallerRenewed) mesh.Renew(caller, Life);
            if (isTargetRenewed) mesh.Renew(target, Life);
        }
        var isAlive = isCallerRenewed && isTargetRenewed;
        Assert.Equal(!isAlive, stream.Closed.IsCancellationRequested);
        Assert.Equal(!isAlive, datagrams.Closed.IsCancellationRequested);
        if (!isAlive)
        {
            Assert.Equal(PortalError.Refused, stream.CloseReason!.Error);
            Assert.Equal(PortalError.Refused, datagrams.CloseReason!.Error);
            return;
        }
        var sent = RecursionTests.Bytes(200_000);
        Assert.Equal(sent, mesh[0].Run(() => RecursionTests.ExchangeAsync(stream, sent)));
        mesh[0].Loop.Post(() =>
        {
            var packet = datagrams.Datagrams.Pool.Rent();
            packet.Append(3).Fill(7);
            datagrams.Datagrams.Send(packet, TrafficClass.Bulk);
        });
        mesh.WaitFor(() => sink.Datagrams.Count == 1);
        Assert.Equal([7, 7, 7], sink.Datagrams[0]);
    }

    [Fact]
    public void Connections_of_several_generations_live_on_together()
    {
        using var mesh = new Mesh(2, nodesIssue: true);
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice", Life), mesh.Hold(IdentityKind.Service, "echo", Life));
        mesh[1].Publish(target, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(target.Id);
        var connections = new List<PortalConnection>();
        for (var i = 0; i < 60; i++)
        {
            if (i < 4) connections.Add(mesh[0].Connect(caller, target.Id));
            // The newest generation is left by its users.
            if (i == 4)
            {
                connections[3].Abort(new PortalException(PortalError.Closed, "enough"));
                connections.RemoveAt(3);
            }
            mesh.Clock.Run(Life / 2);
            mesh.Renew(caller, Life);
            mesh.Renew(target, Life);
        }
        var sent = RecursionTests.Bytes(10_000);
        foreach (var connection in connections)
        {
            Assert.Null(connection.CloseReason);
            Assert.Equal(sent, mesh[0].Run(() => RecursionTests.ExchangeAsync(connection, sent)));
        }
    }

    [Fact]
    public void A_connection_that_nobody_vouches_for_ends_with_its_svid_and_the_grace()
    {
        using var mesh = new Mesh(2, nodesIssue: true);
        var target = mesh.Hold(IdentityKind.Service, "echo");
        mesh[1].Publish(target, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(target.Id);
        var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice", Life), target.Id);
        mesh.Clock.Run(Life + TimeSpan.FromSeconds(110));
        Assert.False(connection.Closed.IsCancellationRequested);
        mesh.Clock.Run(TimeSpan.FromSeconds(20));
        Assert.True(connection.Closed.IsCancellationRequested);
        Assert.Contains("expired", connection.CloseReason!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bounds_that_no_longer_let_the_issuing_node_issue_close_the_connection_and_refuse_the_next()
    {
        using var mesh = new Mesh(2, nodesIssue: true);
        // Both are issued by node a; the target is published by node b.
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice"), mesh.Hold(IdentityKind.Service, "echo"));
        mesh[1].Publish(target, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(target.Id);
        var connection = mesh[0].Connect(caller, target.Id);
        mesh.Bounds.NarrowHosting((vertex, identity) => identity != target.Id || vertex.Name != "a");
        mesh.WaitFor(() => connection.Closed.IsCancellationRequested);
        Assert.Contains("no rule lets spiffe://home/vertex/a hold", connection.CloseReason!.Message, StringComparison.Ordinal);
        Assert.ThrowsAny<PortalException>(() => mesh[0].Connect(caller, target.Id, 20));
    }

    private static Task ReflectAsync(PortalConnection connection)
    {
        connection.Datagrams!.Sink = new Reflector(connection.Datagrams);
        return Task.CompletedTask;
    }

    private sealed class Reflector(DatagramFlow flow) : IDatagramSink
    {
        public void OnDatagram(PacketBuffer packet) => flow.Send(packet, TrafficClass.Bulk);

        public void OnQualityChanged()
        {
        }
    }
}
