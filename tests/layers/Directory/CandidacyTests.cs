using Florete.Identities;
using FsCheck.Fluent;

namespace Florete.Layers.Tests;

public class CandidacyTests
{
    private static readonly Candidacy Standing = new(CandidacyState.Candidate, 0);

    [Fact]
    public void Candidacies_survive_the_wire_beside_adjacencies()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<bool, ulong, byte>((coordinates, counter, links) =>
        {
            var candidacy = new Candidacy(coordinates ? CandidacyState.Coordinator : CandidacyState.Candidate, coordinates ? Math.Max(1, counter) : counter);
            var adjacencies = Enumerable.Range(0, links % 97).Select(i => new TopologyAdjacency(DirectoryNetwork.Id($"v{i}"), new Label(16 + (uint)i), 1, 2, 3)).ToArray();
            var encoded = new VertexBody(7, adjacencies, candidacy).Encode(4000);
            return VertexBody.TryDecode(encoded, "home", out var decoded) && decoded!.Candidacy == candidacy && decoded.Adjacencies.SequenceEqual(adjacencies);
        }));
    }

    [Fact]
    public void Where_the_record_is_full_adjacencies_give_way_to_the_candidacy()
    {
        var adjacencies = Enumerable.Range(0, 96).Select(i => new TopologyAdjacency(DirectoryNetwork.Id(new string('n', 60) + (100 + i)), new Label(16 + (uint)i), 1, 2, 3)).ToArray();
        for (var room = 4 + 12; room < 600; room++)
        {
            var encoded = new VertexBody(7, adjacencies, Standing).Encode(room);
            Assert.True(encoded.Length <= room);
            Assert.True(VertexBody.TryDecode(encoded, "home", out var decoded));
            Assert.Equal(Standing, decoded!.Candidacy);
            Assert.Equal((room - 16) / 84, decoded.Adjacencies.Count);
        }
    }

    [Theory]
    [InlineData("01 0008 01 00000000000000")]
    [InlineData("01 000A 01 0000000000000000 00")]
    [InlineData("01 0009 00 0000000000000005")]
    [InlineData("01 0009 03 0000000000000005")]
    [InlineData("01 0009 02 0000000000000000")]
    [InlineData("01 0000")]
    [InlineData("01 0009 01 00000000000000")]
    [InlineData("81 0009 01 0000000000000000")]
    [InlineData("01 0009 01 0000000000000000 01 0009 01 0000000000000000")]
    public void A_candidacy_that_is_not_of_its_form_makes_the_record_malformed(string tlvs)
    {
        byte[] body = [0, 0, 0, 0, .. Convert.FromHexString(tlvs.Replace(" ", "", StringComparison.Ordinal))];
        Assert.False(VertexBody.TryDecode(body, "home", out _));
    }

    [Fact]
    public void Tlvs_that_are_not_known_are_skipped_around_a_candidacy()
    {
        byte[] body = [0, 0, 0, 0, .. Convert.FromHexString("0500020000" + "0100090200000000000000FF" + "7F0000")];
        Assert.True(VertexBody.TryDecode(body, "home", out var decoded));
        Assert.Equal(new Candidacy(CandidacyState.Coordinator, 255), decoded!.Candidacy);
    }

    [Fact]
    public void Truncated_and_flipped_bodies_with_a_candidacy_never_throw_and_never_say_what_is_not_valid()
    {
        var random = new Random(3);
        var good = new VertexBody(1, [new TopologyAdjacency(DirectoryNetwork.Id("b"), new Label(16), 1, 2, 3)], new Candidacy(CandidacyState.Coordinator, 9)).Encode(1000);
        var noTlv = good.Length - 12;
        for (var length = 0; length < good.Length; length++) Assert.Equal(length == noTlv, VertexBody.TryDecode(good.AsSpan(0, length), "home", out _));
        for (var i = 0; i < 50_000; i++)
        {
            var bytes = good.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            if (VertexBody.TryDecode(bytes, "home", out var decoded)) Assert.True(decoded!.Candidacy is not { IsValid: false });
        }
    }

    [Fact]
    public void Who_stands_is_known_everywhere_within_the_flooding_and_gone_as_fast()
    {
        using var network = new DirectoryNetwork(1);
        network.Bounds.LetCoordinate("v0", "v2");
        var line = network.Line(3);
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination.Reachable.Count == 3), TimeSpan.FromSeconds(10)));
        Assert.All(line, v => Assert.Equal(["v0", "v1", "v2"], v.Directory.Coordination.Reachable.Select(r => r.Name)));
        var changes = 0;
        line[2].Turn(() => line[2].Directory.CoordinationChanged += () => changes++);

        line[0].Turn(() => line[0].Directory.SetCandidacy(Standing));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination.Candidates is [{ Vertex.Name: "v0", Claim.State: CandidacyState.Candidate }]), TimeSpan.FromMilliseconds(200)));
        Assert.All(line, v => Assert.Null(v.Directory.Coordination.Newest));

        line[0].Turn(() => line[0].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, 1)));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination.Newest == new Epoch(1, "v0")), TimeSpan.FromMilliseconds(200)));
        line[0].Turn(() => line[0].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, 1)));

        line[0].Turn(() => line[0].Directory.SetCandidacy(null));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination is { Candidates.Count: 0, Newest: null }), TimeSpan.FromMilliseconds(200)));
        Assert.Equal(3, changes);
        Assert.All(line, v => Assert.Equal(["v0", "v1", "v2"], v.Directory.Topology.Vertices.Select(t => t.Id.Name).Order()));
    }

    [Fact]
    public void What_is_said_often_floods_at_most_every_fifty_milliseconds_and_the_last_word_stands()
    {
        using var network = new DirectoryNetwork(1);
        network.Bounds.LetCoordinate("v0");
        var line = network.Line(2);
        Assert.True(network.Converges(TimeSpan.FromSeconds(10)));
        var before = line[0].Directory.Status().OwnIssued;
        for (var i = 1UL; i <= 500; i++)
        {
            line[0].Turn(() => line[0].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, i)));
            // A link's measurement in between is no reason to forget it.
            line[0].Turn(line[0].Advertise);
            network.Clock.Run(TimeSpan.FromMilliseconds(1));
        }
        Assert.True(network.Clock.RunUntil(() => line[1].Directory.Coordination.Newest == new Epoch(500, "v0"), TimeSpan.FromMilliseconds(200)));
        Assert.InRange(line[0].Directory.Status().OwnIssued - before, 1, 12);
    }

    [Fact]
    public void Whom_the_bounds_do_not_name_counts_for_nothing_from_the_moment_that_they_change()
    {
        using var network = new DirectoryNetwork(1);
        network.Bounds.LetCoordinate("v0", "v1");
        var line = network.Line(2);
        line[0].Turn(() => line[0].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, ulong.MaxValue)));
        line[1].Turn(() => line[1].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, 4)));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination.Candidates.Count == 2), TimeSpan.FromSeconds(10)));
        Assert.All(line, v => Assert.Equal(new Epoch(ulong.MaxValue, "v0"), v.Directory.Coordination.Newest));

        network.Bounds.LetCoordinate("v1");
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination is { Candidates: [{ Vertex.Name: "v1" }], Newest: { Counter: 4, Coordinator: "v1" } }), TimeSpan.Zero));
        network.Bounds.LetCoordinate();
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination is { Candidates.Count: 0, Newest: null }), TimeSpan.Zero));
    }

    [Fact]
    public void A_candidate_out_of_reach_stands_no_longer_but_its_term_is_not_forgotten()
    {
        using var network = new DirectoryNetwork(1);
        network.Bounds.LetCoordinate("v0", "v1", "v2");
        var line = network.Line(3);
        line[0].Turn(() => line[0].Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, 7)));
        line[2].Turn(() => line[2].Directory.SetCandidacy(Standing));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination.Candidates.Count == 2), TimeSpan.FromSeconds(10)));

        network.Links[0].Down();
        Assert.True(network.Clock.RunUntil(() => line[2].Directory.Coordination.Candidates is [{ Vertex.Name: "v2" }], TimeSpan.FromSeconds(1)));
        Assert.Equal(["v1", "v2"], line[2].Directory.Coordination.Reachable.Select(r => r.Name));
        Assert.Equal(new Epoch(7, "v0"), line[2].Directory.Coordination.Newest);
        Assert.True(network.Clock.RunUntil(() => line[0].Directory.Coordination.Reachable.Count == 1, TimeSpan.FromSeconds(1)));

        network.Links[0].Up();
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Coordination is { Candidates.Count: 2, Reachable.Count: 3 }), TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void What_cannot_be_said_is_an_error()
    {
        using var network = new DirectoryNetwork(1);
        var vertex = network.Add("v0");
        Assert.Throws<ArgumentException>(() => vertex.Turn(() => vertex.Directory.SetCandidacy(new Candidacy(CandidacyState.Coordinator, 0))));
        Assert.Throws<ArgumentException>(() => vertex.Turn(() => vertex.Directory.SetCandidacy(new Candidacy((CandidacyState)3, 1))));
    }
}
