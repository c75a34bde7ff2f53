using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Control;

namespace Florete.Proxy.Tests;

public class TopologyReportTests
{
    private static readonly SpiffeId A = SpiffeId.Of("home", IdentityKind.Vertex, "a"), B = SpiffeId.Of("home", IdentityKind.Vertex, "b"), C = SpiffeId.Of("home", IdentityKind.Vertex, "c");

    private static readonly Bounds Allowed = new(BoundsDocument.TryParse(
        """
        version: 1
        cluster: home
        links:
          - between: [a, b]
          - between: [b, c]
        hosts:
          - {node: '*', identities: [service/identity]}
          - {node: a, identities: [service/storage]}
        """,
        "bounds.yaml", out var document, out _) ? document : throw new InvalidOperationException());

    [Fact]
    public void A_link_is_up_when_both_ends_say_so_and_the_bounds_allow_it()
    {
        var report = TopologyReport.Of([Member(A, true, B, C), Member(B, true, A), Member(C, false, B, A)], Allowed);
        Assert.Equal([true, true, false], report.Vertices.Select(static vertex => vertex.IsReachable));
        bool IsUp(int vertex, SpiffeId neighbour) => report.Vertices[vertex].Links.Single(link => link.Neighbour == neighbour.Path).IsUp;
        Assert.True(IsUp(0, B));
        Assert.True(IsUp(1, A));
        // c alone says that it has a link to b; and a link between a and c is not allowed, whatever they say.
        Assert.False(IsUp(2, B));
        Assert.False(IsUp(0, C));
        Assert.False(IsUp(2, A));
        var link = report.Vertices[0].Links[0];
        Assert.Equal((410, 200, null), (link.MetricMicroseconds, link.LossPartsPerMillion, link.CapacityBitsPerSecond));
    }

    [Fact]
    public void A_node_lacks_what_the_bounds_let_it_hold_of_the_control_plane_and_it_does_not_publish()
    {
        SpiffeId[] both = [SpiffeId.Of("home", IdentityKind.Service, "identity"), SpiffeId.Of("home", IdentityKind.Service, "storage")];
        var report = TopologyReport.Of([Member(A, true) with { Services = both }, Member(B, true), Member(C, true) with { Services = [both[0]] }], Allowed);
        Assert.Equal([[], ["service/identity"], []], report.Vertices.Select(static vertex => vertex.Lacking));
        Assert.Equal(["service/storage"], TopologyReport.Of([Member(A, true) with { Services = [both[0]] }], Allowed).Vertices[0].Lacking);
    }

    [Fact]
    public void Whatever_a_vertex_says_of_its_start_can_be_answered()
    {
        DateTimeOffset? Started(ulong incarnation) => TopologyReport.Of([Member(A, true) with { Incarnation = incarnation }], Allowed).Vertices[0].Started;
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(1_767_225_600), Started(1_767_225_600));
        Assert.Null(Started(ulong.MaxValue));
        Assert.Equal(DateTimeOffset.UnixEpoch, Started(0));
    }

    private static DirectoryMember Member(SpiffeId id, bool isReachable, params SpiffeId[] neighbours) =>
        new(id, isReachable, 1, [.. neighbours.Select(static neighbour => new TopologyAdjacency(neighbour, new Label(17), 410, 200, 0))], []);
}
