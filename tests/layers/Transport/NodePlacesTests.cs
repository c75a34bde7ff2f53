using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers.Tests.Transport;

/// <summary>The identity of a node is found at its own vertex, though no record says so.</summary>
[Collection(nameof(WholeVertices))]
public class NodePlacesTests
{
    [Fact]
    public void A_node_is_reached_over_several_hops_and_no_record_of_it_is_made()
    {
        using var mesh = new Mesh(3);
        var (a, c) = (mesh.Hold(IdentityKind.Node, "a"), mesh.Hold(IdentityKind.Node, "c"));
        mesh[2].Publish(c, StreamConnectionTests.EchoAsync);
        WaitForPaths(mesh);
        var connection = mesh[0].Connect(a, c.Id);
        Assert.Equal(Member.Id("c"), connection.RemoteVertex);
        var sent = RecursionTests.Bytes(100_000);
        Assert.Equal(sent, mesh[0].Run(() => RecursionTests.ExchangeAsync(connection, sent)));
        for (var i = 0; i < mesh.Count; i++)
        {
            var status = mesh[i].Run(mesh[i].Vertex.StatusAsync);
            Assert.Equal((3, 0L), (status.Directory.Records, status.Directory.Refused.Values.Sum()));
            Assert.Empty(status.Services);
        }
    }

    [Fact]
    public void A_node_speaks_with_itself_before_it_has_any_link()
    {
        using var mesh = new Mesh(1);
        var a = mesh.Hold(IdentityKind.Node, "a");
        mesh[0].Publish(a, StreamConnectionTests.EchoAsync);
        var connection = mesh[0].Connect(a, a.Id);
        var sent = RecursionTests.Bytes(10_000);
        Assert.Equal(sent, mesh[0].Run(() => RecursionTests.ExchangeAsync(connection, sent)));
    }

    [Fact]
    public void A_node_that_is_cut_off_unknown_or_does_not_answer_for_itself_is_told_as_such()
    {
        using var mesh = new Mesh(2);
        var (a, b) = (mesh.Hold(IdentityKind.Node, "a"), SpiffeId.Of("home", IdentityKind.Node, "b"));
        WaitForPaths(mesh);
        Assert.Equal(PortalError.NotFound, Refusal(SpiffeId.Of("home", IdentityKind.Node, "x")).Error);
        var asked = mesh.Clock.Now;
        Assert.NotEqual(PortalError.TimedOut, Refusal(b).Error);
        Assert.True(mesh.Clock.Now - asked < TimeSpan.FromSeconds(2));
        mesh.Cut(0, 1);
        mesh.Clock.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(PortalError.Unreachable, Refusal(b).Error);

        PortalException Refusal(SpiffeId target) => Assert.Throws<PortalException>(() => mesh[0].Connect(a, target));
    }

    private static void WaitForPaths(Mesh mesh)
    {
        for (var tries = 0; tries < 1000; tries++)
        {
            if (mesh[0].Run(mesh[0].Vertex.StatusAsync).Forwarding.Routes.Count == mesh.Count - 1) return;
            mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        }
        Assert.Fail("The paths did not come.");
    }
}
