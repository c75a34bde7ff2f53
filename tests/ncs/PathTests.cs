using Florete.Ncs.Contracts;

namespace Florete.Ncs.Tests;

/// <summary>Answers compared with all paths that there are.</summary>
public class PathTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void One_path_is_the_shortest_of_all_that_meet_the_request(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 800; i++)
        {
            var network = SmallNetworks.Random(random, 7);
            var request = RandomRequest(random, network);
            var allowed = Allowed(network, request).ToArray();
            var answer = PathComputation.Answer(network, request);
            var what = $"{request} in {SmallNetworks.Show(network)}";
            if (answer.Problem is PathProblem.TooManySegments) continue;
            if (answer.Problem is not null)
            {
                Assert.True(answer.Problem == PathProblem.NoPath && allowed.Length == 0, $"{answer.Text} {what}");
                continue;
            }
            var path = Assert.Single(answer.Paths);
            var chosen = SmallNetworks.Indexes(network, path);
            Assert.Contains(allowed, p => p.SequenceEqual(chosen));
            Assert.Equal(allowed.Min(p => Metric(network, p)), path.MetricMicroseconds);
            Assert.Equal(Metric(network, chosen), path.MetricMicroseconds);
            var known = SmallNetworks.LinksOf(network, chosen).Where(static l => l.Capacity > 0).Select(static l => (long)l.Capacity).ToArray();
            Assert.Equal(known.Length == 0 ? 0 : known.Min(), path.CapacityBitsPerSecond);
        }
    }

    [Theory]
    [InlineData(Disjointness.Vertex, 1)]
    [InlineData(Disjointness.Vertex, 2)]
    [InlineData(Disjointness.Link, 3)]
    [InlineData(Disjointness.Link, 4)]
    public void Disjoint_paths_have_the_least_sum_that_any_have(Disjointness disjoint, int seed)
    {
        var random = new Random(seed);
        var found = 0;
        for (var i = 0; i < 800; i++)
        {
            var network = SmallNetworks.Random(random, 6);
            var request = RandomRequest(random, network) with { Disjoint = disjoint, Count = random.Next(2, 4), MaxMetricMicroseconds = 0 };
            var allowed = Allowed(network, request).ToArray();
            var least = Least(network, allowed, [], request.Count, 0, disjoint);
            var answer = PathComputation.Answer(network, request);
            var what = $"{request} in {SmallNetworks.Show(network)}";
            if (answer.Problem is PathProblem.TooManySegments) continue;
            if (answer.Problem is not null)
            {
                Assert.True(answer.Problem == PathProblem.NoPath && least is null, $"{answer.Text} {what}");
                continue;
            }
            found++;
            var chosen = answer.Paths.Select(p => SmallNetworks.Indexes(network, p)).ToArray();
            Assert.Equal(request.Count, chosen.Length);
            Assert.All(chosen, p => Assert.Contains(allowed, a => a.SequenceEqual(p)));
            for (var one = 0; one < chosen.Length; one++)
            {
                for (var other = 0; other < one; other++) Assert.True(AreDisjoint(chosen[one], chosen[other], disjoint), what);
            }
            Assert.True(least == answer.Paths.Sum(static p => p.MetricMicroseconds), what);
            Assert.Equal(answer.Paths.OrderBy(static p => p.MetricMicroseconds), answer.Paths);
        }
        Assert.InRange(found, 100, 800);
    }

    [Fact]
    public void Disjoint_paths_are_found_where_the_shortest_is_in_the_way()
    {
        // The shortest, a-b-c-d, blocks both others.
        var network = SmallNetworks.Parse("ab1 bc1 cd1 ac3 bd3");
        var request = new PathRequest { From = "a", To = "d", Count = 2 };
        Assert.Equal(["abd", "acd"], PathComputation.Answer(network, request).Paths.Select(static p => string.Concat(p.Vertices)).Order());
        var first = PathComputation.Answer(network, request with { Count = 1 }).Paths.Single();
        Assert.Equal("abcd", string.Concat(first.Vertices));
        Assert.Equal(PathProblem.NoPath, PathComputation.Answer(network, request with { Count = 1, DisjointFrom = [first.Vertices] }).Problem);
    }

    [Fact]
    public void A_direct_link_is_no_way_twice()
    {
        var network = SmallNetworks.Parse("ab1 ac5 cb5");
        var request = new PathRequest { From = "a", To = "b", DisjointFrom = [["a", "b"]] };
        Assert.Equal("acb", string.Concat(PathComputation.Answer(network, request).Paths.Single().Vertices));
        // In the other direction it is the same link.
        Assert.Equal("bca", string.Concat(PathComputation.Answer(network, request with { From = "b", To = "a" }).Paths.Single().Vertices));
    }

    [Fact]
    public void The_problem_is_told()
    {
        var network = SmallNetworks.Parse("ab5 bc5 de1");
        PathAnswer Ask(PathRequest request) => PathComputation.Answer(network, request);
        var request = new PathRequest { From = "a", To = "c" };
        Assert.Equal((PathProblem.UnknownVertex, "No vertex x is in the topology; 'florctl get nodes' names those that are."), (Ask(request with { To = "x" }).Problem!.Value, Ask(request with { To = "x" }).Text));
        Assert.Equal("No links lead from a to d.", Ask(request with { To = "d" }).Text);
        Assert.Equal("No path leads from a to c without what is avoided or too narrow.", Ask(request with { Avoid = ["b"] }).Text);
        Assert.Equal("The shortest path from a to c that meets the rest takes 10 µs, more than 9.", Ask(request with { MaxMetricMicroseconds = 9 }).Text);
        Assert.EndsWith("they count as too narrow.", Ask(request with { MinCapacityBitsPerSecond = 1 }).Text);
        Assert.Equal(PathProblem.NoPath, Ask(request with { Avoid = ["b>c"] }).Problem);
        Assert.Null(Ask(request with { Avoid = ["c>b", "nobody"] }).Problem);
    }

    [Fact]
    public void What_is_no_request_is_refused_whatever_part_is_wrong()
    {
        var network = SmallNetworks.Parse("ab1");
        var request = new PathRequest { From = "a", To = "b" };
        PathRequest[] wrong =
        [
            request with { From = null! }, request with { To = "" }, request with { To = "a" }, request with { To = new string('b', 64) }, request with { From = "a>b" },
            request with { MaxMetricMicroseconds = -1 }, request with { MinCapacityBitsPerSecond = -1 }, request with { Count = 0 }, request with { Count = 5 },
            request with { Disjoint = (Disjointness)7 }, request with { Avoid = null! }, request with { Avoid = [null!] }, request with { Avoid = ["a>b>c"] }, request with { Avoid = [">"] },
            request with { Avoid = ["a"] }, request with { Avoid = [.. Enumerable.Repeat("x", 257)] }, request with { DisjointFrom = null! }, request with { DisjointFrom = [null!] },
            request with { DisjointFrom = [["a"]] }, request with { DisjointFrom = [["a", null!]] }, request with { DisjointFrom = [[.. Enumerable.Repeat("x", 66)]] },
            request with { DisjointFrom = [.. Enumerable.Repeat<string[]>(["a", "b"], 9)] },
        ];
        Assert.All(wrong, r => Assert.Equal(PathProblem.Malformed, PathComputation.Answer(network, r).Problem));
        Assert.Null(PathComputation.Answer(network, request).Problem);
    }

    [Fact]
    public void A_path_of_more_links_than_a_packet_passes_is_none()
    {
        Network Line(int links) => SmallNetworks.Make([.. Enumerable.Range(0, links).SelectMany(static i => new[]
        {
            new NetworkLink($"v{i}", $"v{i + 1}", 1, 0), new NetworkLink($"v{i + 1}", $"v{i}", 1, 0),
        })]);
        Assert.Equal(64, Assert.Single(PathComputation.Answer(Line(64), new PathRequest { From = "v0", To = "v64" }).Paths).MetricMicroseconds);
        Assert.Equal(PathProblem.TooLong, PathComputation.Answer(Line(65), new PathRequest { From = "v0", To = "v65" }).Problem);
    }

    [Fact]
    public void The_largest_network_is_computed_and_larger_ones_are_refused()
    {
        var random = new Random(1);
        var names = Enumerable.Range(0, NcsProtocol.MaxVertices).Select(static i => $"v{i}").ToArray();
        var links = new List<NetworkLink>();
        for (var i = 0; i < NcsProtocol.MaxTopologyLinks / 2; i++)
        {
            var (a, b) = (i < names.Length - 1 ? i + 1 : random.Next(names.Length), random.Next(Math.Min(i + 1, names.Length)));
            links.Add(new NetworkLink(names[a], names[b], (uint)random.Next(1, 100_000), 0));
            links.Add(new NetworkLink(names[b], names[a], (uint)random.Next(1, 100_000), 0));
        }
        Assert.True(Network.TryCreate(names, links, out var network, out _));
        var answer = PathComputation.Answer(network, new PathRequest { From = "v0", To = "v4095", Count = 2, Avoid = ["v1"] });
        Assert.True(answer.Problem is null or PathProblem.TooManySegments or PathProblem.NoPath, answer.Text);
        using var over = new CancellationTokenSource();
        over.Cancel();
        Assert.Throws<OperationCanceledException>(() => PathComputation.Answer(network, new PathRequest { From = "v0", To = "v4095" }, over.Token));
        Assert.False(Network.TryCreate([.. names, "more"], links, out _, out var problem));
        Assert.StartsWith("4097 vertices", problem);
        Assert.False(Network.TryCreate(names, [.. links, links[0]], out _, out _));
    }

    private static PathRequest RandomRequest(Random random, Network network)
    {
        var (from, to) = (random.Next(network.Count), random.Next(network.Count));
        if (from == to) to = (from + 1) % network.Count;
        var avoid = new List<string>();
        for (var i = random.Next(3); i > 0; i--)
        {
            var (a, b) = (random.Next(network.Count), random.Next(network.Count));
            if (a != b && random.Next(2) == 0) avoid.Add($"{network.Names[a]}>{network.Names[b]}");
            else if (a != from && a != to) avoid.Add(network.Names[a]);
        }
        return new PathRequest
        {
            From = network.Names[from],
            To = network.Names[to],
            Avoid = avoid,
            MaxMetricMicroseconds = random.Next(3) == 0 ? random.Next(1, 100) : 0,
            MinCapacityBitsPerSecond = random.Next(3) == 0 ? random.Next(1, 4) : 0,
        };
    }

    private static IEnumerable<int[]> Allowed(Network network, PathRequest request) => SmallNetworks.Paths(network, network.IndexOf(request.From), network.IndexOf(request.To)).Where(path =>
        !path.Any(v => request.Avoid.Contains(network.Names[v]))
        && SmallNetworks.LinksOf(network, path).All(l => !request.Avoid.Contains($"{network.Names[l.From]}>{network.Names[l.To]}") && l.Capacity >= (ulong)request.MinCapacityBitsPerSecond)
        && (request.MaxMetricMicroseconds == 0 || Metric(network, path) <= request.MaxMetricMicroseconds));

    private static long Metric(Network network, int[] path) => SmallNetworks.LinksOf(network, path).Sum(static l => (long)l.Metric);

    private static long? Least(Network network, int[][] paths, int[][] chosen, int count, int start, Disjointness disjoint)
    {
        if (chosen.Length == count) return chosen.Sum(p => Metric(network, p));
        long? least = null;
        for (var i = start; i < paths.Length; i++)
        {
            if (!chosen.All(c => AreDisjoint(c, paths[i], disjoint))) continue;
            if (Least(network, paths, [.. chosen, paths[i]], count, i + 1, disjoint) is { } sum && (least is null || sum < least)) least = sum;
        }
        return least;
    }

    private static bool AreDisjoint(int[] one, int[] other, Disjointness disjoint)
    {
        static IEnumerable<(int, int)> Links(int[] path) => path.Skip(1).Select((to, i) => (Math.Min(path[i], to), Math.Max(path[i], to)));
        return !Links(one).Intersect(Links(other)).Any() && (disjoint == Disjointness.Link || !one[1..^1].Intersect(other[1..^1]).Any());
    }
}
