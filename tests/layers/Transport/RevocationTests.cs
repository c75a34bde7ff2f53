using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers.Tests.Transport;

/// <summary>What a revocation ends between whole vertices (docs/protocols/revocation.md "Effect").</summary>
[Collection(nameof(WholeVertices))]
public class RevocationTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Living_connections_of_a_revoked_identity_end_at_both_ends_and_new_ones_are_refused(bool isCaller)
    {
        using var mesh = new Mesh(3);
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice"), mesh.Hold(IdentityKind.Service, "echo"));
        PortalConnection? far = null;
        mesh[2].Publish(target, c =>
        {
            if (c.Stream is null) return Task.CompletedTask;
            far = c;
            return StreamConnectionTests.EchoAsync(c);
        });
        mesh[0].Discover(target.Id);
        var stream = mesh[0].Connect(caller, target.Id);
        var datagrams = mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(caller, target.Id, new ConnectOptions(ConnectionMode.Datagram)));
        Assert.Equal(caller.Current.NotBefore, far!.RemoteProof!.NotBefore);
        var revoked = isCaller ? caller : target;
        var revocation = mesh[1].Revoke(revoked.Id);
        mesh.WaitFor(() => stream.Closed.IsCancellationRequested && datagrams.Closed.IsCancellationRequested && far.Closed.IsCancellationRequested, 5);
        foreach (var connection in new[] { stream, datagrams, far })
        {
            Assert.Equal(PortalError.Refused, connection.CloseReason!.Error);
            Assert.Contains($"{revoked.Id} was revoked", connection.CloseReason.Message, StringComparison.Ordinal);
        }

        var refused = Assert.Throws<PortalException>(() => mesh[0].Connect(caller, target.Id));
        Assert.Equal(PortalError.Refused, refused.Error);
        Assert.Contains("was revoked", refused.Message, StringComparison.Ordinal);

        // Others go on, and it is good again with a new SVID.
        if (isCaller) mesh[0].Connect(mesh.Hold(IdentityKind.User, "bob"), target.Id);
        revoked.Renew(mesh.Authority.Issue(revoked.Id, TimeSpan.FromHours(1), revocation.ReissueTime(mesh.Clock.WallClock.GetUtcNow())));
        mesh[0].Discover(target.Id);
        var again = mesh[0].Connect(caller, target.Id);
        Assert.Equal([1, 2, 3], mesh[0].Run(() => RecursionTests.ExchangeAsync(again, [1, 2, 3])));
    }

    [Fact]
    public void The_target_refuses_a_revoked_caller_whose_own_node_does_not_know()
    {
        using var mesh = new Mesh(2);
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice"), mesh.Hold(IdentityKind.Service, "echo"));
        mesh[1].Publish(target, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(target.Id);

        // Not by the directory: so the caller's node never hears of it.
        mesh[1].Revocations.Add(mesh.Revocation(caller.Id));
        var refused = Assert.Throws<PortalException>(() => mesh[0].Connect(caller, target.Id));
        Assert.Equal(PortalError.Refused, refused.Error);
        Assert.Contains(mesh[1].Events.After(0), e => e.Kind == SecurityEventKind.RefusedHandshake && e.Reason.Contains("was revoked", StringComparison.Ordinal));
    }

    [Fact]
    public void The_links_of_a_revoked_vertex_end_everywhere_and_come_back_with_a_new_svid()
    {
        using var mesh = new Mesh(4, isRing: true);
        var (caller, target) = (mesh.Hold(IdentityKind.User, "alice"), mesh.Hold(IdentityKind.Service, "echo"));
        mesh[2].Publish(target, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(target.Id);
        var through = mesh[0].Connect(caller, target.Id);
        var local = mesh.Hold(IdentityKind.Service, "local");
        mesh[1].Publish(local, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(local.Id);
        var there = mesh[0].Connect(caller, local.Id);
        mesh.WaitFor(() => Enumerable.Range(0, 4).All(i => Links(mesh, i) == 2));

        var revocation = mesh[3].Revoke(Member.Id("b"));
        mesh.WaitFor(() => Links(mesh, 0) == 1 && Links(mesh, 2) == 1 && Links(mesh, 1) == 0, 5);
        mesh.WaitFor(() => there.Closed.IsCancellationRequested, 5);
        Assert.Contains("vertex/b was revoked", there.CloseReason!.Message, StringComparison.Ordinal);
        mesh.Clock.Run(TimeSpan.FromSeconds(30));
        Assert.Equal((1, 0, 1), (Links(mesh, 0), Links(mesh, 1), Links(mesh, 2)));

        // The other way round is left.
        var sent = RecursionTests.Bytes(50_000);
        Assert.Equal(sent, mesh[0].Run(() => RecursionTests.ExchangeAsync(through, sent)));

        mesh[1].Identity.Renew(mesh.Authority.Issue(Member.Id("b"), TimeSpan.FromHours(1), revocation.ReissueTime(mesh.Clock.WallClock.GetUtcNow())));
        mesh.WaitFor(() => Enumerable.Range(0, 4).All(i => Links(mesh, i) == 2));
        mesh[0].Discover(local.Id);
        mesh[0].Connect(caller, local.Id);
    }

    private static int Links(Mesh mesh, int vertex) => mesh[vertex].Run(async () => await mesh[vertex].Vertex.StatusAsync()).Neighbours.Sum(static n => n.Links);
}
