namespace Florete.Layers.Tests;

public class DirectoryTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5), Later = TimeSpan.FromMinutes(2);

    [Fact]
    public void Three_vertices_in_a_line_learn_the_topology_and_each_others_services()
    {
        using var network = new DirectoryNetwork(1);
        var line = network.Line(3);
        line[2].Announce("hello");
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        var topology = line[0].Directory.Topology;
        Assert.Equal(3, topology.Vertices.Count);
        Assert.Equal([line[0].Id, line[2].Id], topology.Find(line[1].Id)!.Adjacencies.Select(a => a.Neighbour).Order());
        Assert.Equal(line[2].Directory.Segment, topology.Find(line[2].Id)!.Segment);
        var found = Assert.Single(line[0].Directory.Find(DirectoryNetwork.Id("hello", Identities.IdentityKind.Service)));
        Assert.Equal(line[2].Id, found.Vertex);
        Assert.Contains(line[0].ServiceChanges, c => c.IsPresent && c.Vertex == line[2].Id);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Thirty_percent_loss_reordering_and_repetition_do_not_keep_a_random_network_from_agreeing(int seed)
    {
        using var network = new DirectoryNetwork(seed) { Loss = 0.3, Repetition = 0.2 };
        var random = new Random(seed);
        var vertices = network.Line(8);
        for (var i = 0; i < 6; i++)
        {
            var (a, b) = (vertices[random.Next(8)], vertices[random.Next(8)]);
            if (a != b) network.Connect(a, b);
        }
        for (var i = 0; i < 20; i++) vertices[i % 8].Announce($"service-{i}");
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.All(vertices, v => Assert.Equal(20, v.Directory.Services.Count));
        Assert.All(vertices, v => Assert.Equal(8, v.Directory.Status().ReachableVertices));
    }

    [Fact]
    public void A_partition_hides_what_is_beyond_it_and_heals()
    {
        using var network = new DirectoryNetwork(4) { Loss = 0.1 };
        var line = network.Line(4);
        var service = line[3].Announce("far");
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Single(line[0].Directory.Find(service.Id));
        network.Links[1].Down();
        network.Clock.Run(Soon);
        Assert.Empty(line[0].Directory.Find(service.Id));
        Assert.Contains(line[0].ServiceChanges, c => !c.IsPresent && c.Service == service.Id);
        line[2].Announce("made-apart");
        line[3].Turn(() => line[3].Directory.Withdraw(service.Id));
        network.Clock.Run(Soon);
        network.Links[1].Up();
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Empty(line[0].Directory.Find(service.Id));
        Assert.Single(line[0].Directory.Find(DirectoryNetwork.Id("made-apart", Identities.IdentityKind.Service)));
    }

    [Fact]
    public void Records_are_renewed_before_they_age_out_and_those_of_a_dead_vertex_go()
    {
        using var network = new DirectoryNetwork(5) { Options = new DirectoryOptions { MaxAge = TimeSpan.FromMinutes(2) } };
        var ring = network.Ring(4);
        ring[2].Announce("hello");
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromMinutes(10));
        Assert.All(ring, v => Assert.Single(v.Directory.Services));
        ring[2].Stop();
        network.Clock.Run(TimeSpan.FromMinutes(3));
        Assert.True(network.AreInStep());
        Assert.Equal(3, ring[0].Directory.Status().Vertices);
        Assert.Empty(ring[0].Directory.Services);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_vertex_restarts_with_its_state_or_without_and_its_former_announcements_are_over(bool keepsState)
    {
        using var network = new DirectoryNetwork(6) { Loss = 0.2 };
        var line = network.Line(3);
        line[0].Announce("old");
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(2));
        var before = line[0].Directory.Status().Incarnation;
        line[0].Stop();
        if (!keepsState) line[0].Cache = new MemoryDirectoryCache();
        network.Clock.Run(Soon);
        line[0].Boot();
        network.Links[0].Up();
        line[0].Announce("new");
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.True(line[0].Directory.Status().Incarnation > before);
        Assert.All(line, v => Assert.Equal(["new"], v.Directory.Services.Select(s => s.Service.Name)));
    }

    [Fact]
    public void A_vertex_whose_clock_went_back_jumps_past_its_former_life()
    {
        using var network = new DirectoryNetwork(7);
        var a = network.Add("a", TimeSpan.FromHours(5));
        var b = network.Add("b");
        var link = network.Connect(a, b);
        Assert.True(network.Converges(Soon));
        var former = a.Directory.Status().Incarnation;
        a.Stop();
        network.Vertices.Remove(a);
        var again = new DirectoryVertex(network, a.Identity, TimeSpan.Zero);
        network.Vertices.Add(again);
        again.Boot();
        Assert.True(again.Directory.Status().Incarnation < former);
        network.Connect(again, b);
        Assert.True(network.Converges(Soon));
        network.Clock.Run(Soon);
        Assert.True(again.Directory.Status().Incarnation > former);
        Assert.True(network.AreInStep());
        Assert.Equal(2, b.Directory.Status().ReachableVertices);
    }

    [Fact]
    public void Clocks_minutes_apart_change_nothing()
    {
        using var network = new DirectoryNetwork(8) { Options = new DirectoryOptions { MaxAge = TimeSpan.FromMinutes(2) } };
        var ahead = network.Add("ahead", TimeSpan.FromMinutes(5));
        var behind = network.Add("behind", TimeSpan.FromMinutes(-5));
        network.Connect(ahead, behind);
        ahead.Announce("one");
        behind.Announce("two");
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromMinutes(10));
        Assert.All(network.Vertices, v => Assert.Equal(2, v.Directory.Services.Count));
    }

    [Fact]
    public void A_renewed_svid_brings_a_new_chain_and_the_old_one_fades()
    {
        using var network = new DirectoryNetwork(9);
        var line = network.Line(3);
        var held = line[0].Announce("hello");
        Assert.True(network.Converges(Soon));
        var chains = line[2].Directory.Status().Chains;
        held.Renew(network.Issue(held.Id));
        network.Clock.Run(Soon);
        Assert.Equal(chains + 1, line[2].Directory.Status().Chains);
        Assert.Single(line[2].Directory.Find(held.Id));
        network.Clock.Run(TimeSpan.FromMinutes(6));
        Assert.Equal(chains, line[2].Directory.Status().Chains);
        Assert.DoesNotContain(line[2].ServiceChanges, c => !c.IsPresent);
    }

    [Fact]
    public void Records_under_an_expired_certificate_go_after_the_grace()
    {
        using var network = new DirectoryNetwork(10);
        var line = network.Line(2);
        var held = network.Hold(DirectoryNetwork.Id("brief", Identities.IdentityKind.Service), TimeSpan.FromMinutes(10));
        line[0].Turn(() => line[0].Directory.Announce(held));
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromMinutes(12));
        Assert.Single(line[1].Directory.Find(held.Id));
        network.Clock.Run(TimeSpan.FromMinutes(5));
        Assert.Empty(line[1].Directory.Find(held.Id));
    }

    [Fact]
    public void Bounds_that_narrow_take_a_service_away_and_that_widen_bring_it_back()
    {
        using var network = new DirectoryNetwork(11);
        var line = network.Line(3);
        var held = line[0].Announce("hello");
        Assert.True(network.Converges(Soon));
        network.Clock.Run(Soon);
        network.Bounds.Forbid(line[0].Id, held.Id);
        network.Clock.Run(Soon);
        Assert.All(line, v => Assert.Empty(v.Directory.Find(held.Id)));
        network.Bounds.Allow(line[0].Id, held.Id);
        network.Clock.Run(Soon);
        Assert.All(line, v => Assert.Single(v.Directory.Find(held.Id)));
    }

    [Fact]
    public void Small_changes_of_quality_are_damped_and_a_lost_link_is_told_at_once()
    {
        using var network = new DirectoryNetwork(12);
        var line = network.Line(2);
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromSeconds(10));
        var issued = line[0].Directory.Status().OwnIssued;
        for (var i = 0; i < 100; i++)
        {
            line[0].Metric = (uint)(1000 + (i % 2 * 100));
            line[0].Turn(line[0].Advertise);
            network.Clock.Run(TimeSpan.FromMilliseconds(100));
        }
        Assert.InRange(line[0].Directory.Status().OwnIssued - issued, 1, 4);
        network.Links[0].Down();
        Assert.True(network.Clock.RunUntil(() => line[0].Directory.Topology.Find(line[0].Id)!.Adjacencies.Count == 0, TimeSpan.FromMilliseconds(60)));
    }

    [Fact]
    public void A_link_lost_elsewhere_does_not_wait_for_other_news_to_settle()
    {
        using var network = new DirectoryNetwork(14);
        var ring = network.Ring(4);
        Assert.True(network.Converges(Soon));
        network.Clock.Run(TimeSpan.FromSeconds(10));
        var before = ring[2].TopologyChanges;
        ring[3].Metric = 5000;
        ring[3].Turn(ring[3].Advertise);
        Assert.True(network.Clock.RunUntil(() => ring[2].TopologyChanges > before, TimeSpan.FromSeconds(1)));
        network.Links[0].Down();
        Assert.True(network.Clock.RunUntil(() => ring[2].Directory.Topology.Find(ring[1].Id)!.Adjacencies.Count == 1, TimeSpan.FromMilliseconds(40)));
    }

    [Fact]
    public void Two_machines_with_one_identity_do_not_storm()
    {
        using var network = new DirectoryNetwork(13);
        var one = network.Add("twin");
        var between = network.Add("between");
        var other = new DirectoryVertex(network, one.Identity, TimeSpan.FromSeconds(7));
        network.Vertices.Add(other);
        other.Boot();
        network.Connect(one, between);
        network.Connect(between, other);
        network.Clock.Run(TimeSpan.FromMinutes(30));
        Assert.InRange(one.Directory.Status().OwnIssued, 2, 200);
        Assert.InRange(between.Directory.Status().Accepted, 2, 400);
    }

    [Fact]
    public void A_record_comes_through_although_the_neighbour_that_brought_it_first_keeps_its_chain()
    {
        using var network = new DirectoryNetwork(14);
        var victim = network.Add("victim");
        var honest = network.Add("honest");
        var held = honest.Announce("hello");
        DirectoryPeer? thief = null;
        victim.Turn(() => thief = victim.Directory.AddPeer(DirectoryNetwork.Id("thief"), _ => { }));
        var records = new List<byte[]>();
        DirectoryPeer? ear = null;
        honest.Turn(() => ear = honest.Directory.AddPeer(DirectoryNetwork.Id("ear"), m => records.Add(m.ToArray())));
        network.Clock.Run(TimeSpan.FromMilliseconds(10));
        byte[] nothing = [1, 7, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
        honest.Turn(() => honest.Directory.Receive(ear!, nothing));
        network.Clock.Run(TimeSpan.FromMilliseconds(10));
        foreach (var message in records) victim.Turn(() => victim.Directory.Receive(thief!, message));
        Assert.Equal(2, victim.Directory.Status().Undecided);
        network.Connect(victim, honest);
        Assert.True(network.Clock.RunUntil(() => victim.Directory.Find(held.Id).Count == 1, Soon));
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void Links_that_come_and_go_under_loss_end_in_agreement(int seed)
    {
        using var network = new DirectoryNetwork(seed) { Loss = 0.3, Repetition = 0.1 };
        var random = new Random(seed);
        var ring = network.Ring(6);
        for (var i = 0; i < 60; i++)
        {
            var link = network.Links[random.Next(network.Links.Count)];
            if (link.IsUp) link.Down();
            else link.Up();
            if (i % 5 == 0) ring[random.Next(6)].Announce($"s{random.Next(10)}");
            if (i % 7 == 0) ring[i % 6].Turn(() => ring[i % 6].Directory.Withdraw(DirectoryNetwork.Id($"s{random.Next(10)}", Identities.IdentityKind.Service)));
            network.Clock.Run(TimeSpan.FromMilliseconds(random.Next(2000)));
        }
        foreach (var link in network.Links) link.Up();
        Assert.True(network.Converges(Later));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.All(ring, v => Assert.Equal(6, v.Directory.Status().ReachableVertices));
        Assert.All(ring, v => Assert.Equal(
            ring[0].Directory.Services.OrderBy(s => s.Service).ThenBy(s => s.Vertex), v.Directory.Services.OrderBy(s => s.Service).ThenBy(s => s.Vertex)));
    }
}
