using Florete.Identities;

namespace Florete.Layers.Tests;

public class MembersTests
{
    [Fact]
    public void All_that_is_known_of_the_layer_is_told_and_what_is_cut_off_is_marked()
    {
        using var network = new DirectoryNetwork(1);
        var line = network.Line(3);
        line[2].Announce("hello");
        Assert.True(network.Converges(TimeSpan.FromSeconds(5)));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        var members = line[0].Directory.Members();
        Assert.Equal(line.Select(static vertex => vertex.Id).Order(), members.Select(static member => member.Vertex));
        Assert.All(members, static member => Assert.True(member.IsReachable));
        Assert.All(members, static member => Assert.Equal((ulong)DirectoryNetwork.Start.ToUnixTimeSeconds(), member.Incarnation));
        Assert.Equal([line[0].Id, line[2].Id], Of(line[1]).Adjacencies.Select(static adjacency => adjacency.Neighbour).Order());
        Assert.Equal([DirectoryNetwork.Id("hello", IdentityKind.Service)], Of(line[2]).Services);

        network.Links[1].Down();
        network.Clock.Run(TimeSpan.FromSeconds(5));
        Assert.Equal([true, true, false], line.Select(vertex => Of(vertex).IsReachable));
        // As it was heard last; the side that is reached says otherwise.
        Assert.Single(Of(line[2]).Services);
        Assert.Contains(Of(line[2]).Adjacencies, adjacency => adjacency.Neighbour == line[1].Id);
        Assert.DoesNotContain(Of(line[1]).Adjacencies, adjacency => adjacency.Neighbour == line[2].Id);

        DirectoryMember Of(DirectoryVertex vertex) => line[0].Directory.Members().Single(member => member.Vertex == vertex.Id);
    }
}
