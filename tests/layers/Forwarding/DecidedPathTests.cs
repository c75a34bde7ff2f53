using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers.Tests;

/// <summary>Paths that the control plane wants otherwise than the best ones.</summary>
public class DecidedPathTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);

    [Fact]
    public void Packets_of_this_vertex_and_its_probes_take_it_and_transit_does_not()
    {
        var layer = SimulatedLayer.Ring(4);
        Decide(layer, 1, 0, "2", "3");
        Assert.Equal(["v2", "v3", "v0"], Trace(layer, 1, 0));
        // From 2 to 0 there are two equal paths: a flow that goes by way of 1 goes on to 0 at once.
        var (direct, around) = (layer.Flow(1, 0).SentPackets, layer.Flow(1, 2).SentPackets);
        for (var flow = 0u; flow < 50; flow++) layer.Send(2, 0, flow: flow * 2654);
        layer.Run(Soon);
        Assert.Equal(50, layer[0].Received.Count);
        Assert.InRange(layer.Flow(1, 0).SentPackets - direct, 1, 49);
        Assert.Equal(around, layer.Flow(1, 2).SentPackets);
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_link_that_is_named_is_reached_by_the_best_path()
    {
        var layer = SimulatedLayer.Ring(5);
        Decide(layer, 0, 1, "3>2");
        var status = Status(layer, 0);
        Assert.Equal([layer[3].Segment, layer[3].Adjacencies[layer[2].Id].Segment], status.Segments);
        Assert.Equal(["v4", "v3", "v2", "v1"], Trace(layer, 0, 1));
        Assert.Equal("v3>v2", Assert.Single(status.Via).ToString());
    }

    [Fact]
    public void The_quality_told_is_that_of_the_path_in_use()
    {
        var layer = new SimulatedLayer(3);
        layer.Link(0, 1, there: 10);
        layer.Link(1, 2, there: 20);
        layer.Link(0, 2, there: 500);
        layer.Publish();
        layer.Flow(0, 2).MaxBytes = 9_000;
        Assert.Equal(30, layer[0].Engine.QualityTo(layer[2].Id)!.Value.MetricMicroseconds);
        Decide(layer, 0, 2, "0>2");
        var quality = layer[0].Engine.QualityTo(layer[2].Id)!.Value;
        Assert.Equal((500L, 1, 9_000, 1), (quality.MetricMicroseconds, quality.Hops, quality.MaxDatagramBytes, quality.PushedSegments));
        Assert.Equal(LayerSizes.BaseHeaderBytes + 4, quality.HeaderBytes);
        Decide(layer, 0, 1, "2", "2>1");
        Assert.Equal((50L, 3), layer[0].Engine.QualityTo(layer[1].Id) is { } around ? (around.MetricMicroseconds, around.Hops) : default);
    }

    [Fact]
    public void It_is_told_in_the_labels_of_the_day()
    {
        var layer = SimulatedLayer.Ring(4);
        Decide(layer, 0, 1, "3", "2");
        var moved = new Topology(layer.Topology().Vertices.Select(static v => v with { Segment = new Label(v.Segment.Value + 1000) }));
        foreach (var vertex in layer.Vertices)
        {
            layer.InTurn(vertex, () =>
            {
                vertex.Engine.SetSegment(moved.Find(vertex.Id)!.Segment);
                vertex.Engine.Update(moved);
            });
        }
        layer.Run(Soon);
        Assert.Equal([new Label(6003), new Label(6002)], Status(layer, 0).Segments);
        Assert.Equal(["v3", "v2", "v1"], Trace(layer, 0, 1));
    }

    [Fact]
    public void While_a_link_of_it_is_gone_the_best_path_is_taken_and_afterwards_the_decided_one_again()
    {
        var layer = SimulatedLayer.Ring(5);
        Decide(layer, 0, 1, "3", "3>2");
        layer.Cut(3, 2);
        // Before the news: the vertex beside the cut leads around it.
        layer.Send(0, 1);
        layer.Run(Soon);
        Assert.Single(layer[1].Received);
        Assert.Null(Status(layer, 0).Problem);
        layer.Publish();
        Assert.Equal("there is no link from v3 to v2 now.", Status(layer, 0).Problem);
        Assert.Empty(Status(layer, 0).Segments);
        Assert.Equal(["v1"], Trace(layer, 0, 1));
        layer.Restore();
        layer.Publish();
        Assert.Null(Status(layer, 0).Problem);
        Assert.Equal(["v4", "v3", "v2", "v1"], Trace(layer, 0, 1));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_neighbour_on_it_that_dies_holds_up_nothing_while_repairs_hold()
    {
        var layer = SimulatedLayer.Ring(4);
        Decide(layer, 0, 1, "3", "2");
        layer.CutVertex(3);
        Assert.True(layer[0].Engine.IsHolding);
        Assert.Equal("the link to v3 has just gone.", Status(layer, 0).Problem);
        layer.Send(0, 1);
        layer.Publish();
        Assert.True(layer[0].Engine.IsHolding);
        layer.Send(0, 1);
        layer.Run(TimeSpan.FromMilliseconds(250));
        Assert.False(layer[0].Engine.IsHolding);
        Assert.Equal("no path leads to v3 now.", Status(layer, 0).Problem);
        layer.Send(0, 1);
        layer.Run(Soon);
        Assert.Equal(3, layer[1].Received.Count);
    }

    [Fact]
    public void What_is_decided_before_anything_is_known_is_used_once_it_is()
    {
        var layer = new SimulatedLayer(4);
        Decide(layer, 0, 1, "3", "2");
        Assert.NotNull(Status(layer, 0).Problem);
        for (var v = 0; v < 4; v++) layer.Link(v, (v + 1) % 4);
        layer.Publish();
        Assert.Equal(["v3", "v2", "v1"], Trace(layer, 0, 1));
        layer.InTurn(layer[0], () => layer[0].Engine.SetPaths([]));
        Assert.Equal(["v1"], Trace(layer, 0, 1));
    }

    [Fact]
    public void More_segments_than_leave_room_for_a_repair_are_not_used()
    {
        var layer = SimulatedLayer.Ring(6);
        Decide(layer, 0, 1, "4", "4>3", "3>2", "2");
        Assert.Equal(3, Status(layer, 0).Segments.Count);
        Decide(layer, 0, 1, "2>3", "5>4", "3");
        Assert.StartsWith("it takes 5 segments", Status(layer, 0).Problem);
        Assert.Equal(["v1"], Trace(layer, 0, 1));
    }

    [Fact]
    public void What_is_no_path_is_refused_and_changes_nothing()
    {
        var layer = SimulatedLayer.Ring(4);
        Decide(layer, 0, 1, "3", "2");
        void Refused(string sentence, params DecidedPath[] paths) =>
            layer.InTurn(layer[0], () => Assert.Contains(sentence, Assert.Throws<ArgumentException>(() => layer[0].Engine.SetPaths(paths)).Message));
        var service = SpiffeId.Of("home", IdentityKind.Service, "echo");
        Refused("is no vertex", new DecidedPath(service, []));
        Refused("names what is no vertex", new DecidedPath(layer[2].Id, [PathStep.Through(service)]));
        Refused("names what is no vertex", new DecidedPath(layer[2].Id, [default]));
        Refused("is no link", new DecidedPath(layer[2].Id, [PathStep.Over(layer[1].Id, layer[1].Id)]));
        Refused("this vertex itself", new DecidedPath(layer[0].Id, []));
        Refused("at most 4", new DecidedPath(layer[2].Id, [.. Enumerable.Repeat(PathStep.Through(layer[1].Id), 5)]));
        Refused("Two paths", new DecidedPath(layer[2].Id, []), new DecidedPath(layer[2].Id, [PathStep.Through(layer[1].Id)]));
        Refused("at most 256", [.. Enumerable.Range(0, 257).Select(static i => new DecidedPath(SpiffeId.Of("home", IdentityKind.Vertex, $"x{i}"), []))]);
        Assert.Equal(["v3", "v2", "v1"], Trace(layer, 0, 1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void In_any_small_layer_a_packet_passes_what_is_decided_once_and_at_the_cost_that_is_told(int seed)
    {
        var random = new Random(seed);
        for (var graph = 0; graph < 60; graph++) TryPaths(random);
    }

    [Fact]
    public void A_packet_on_a_decided_path_costs_no_memory()
    {
        var clock = new VirtualClock();
        var loop = new VirtualLoop(clock);
        var pool = new PacketPool();
        var ids = Enumerable.Range(0, 3).Select(static i => SpiffeId.Of("home", IdentityKind.Vertex, $"v{i}")).ToArray();
        var engine = new ForwardingEngine(loop, pool, ids[0]);
        engine.SetSegment(new Label(5000));
        var topology = new Topology([
            new TopologyVertex(ids[0], new Label(5000), [new(ids[1], new Label(16), 1, 0, 0)]),
            new TopologyVertex(ids[1], new Label(5001), [new(ids[0], new Label(16), 1, 0, 0), new(ids[2], new Label(17), 1, 0, 0)]),
            new TopologyVertex(ids[2], new Label(5002), [new(ids[1], new Label(16), 1, 0, 0)])]);
        loop.Post(() =>
        {
            engine.AddAdjacency(new Adjacency(ids[1], new Label(16), new Sink(loop, pool)));
            engine.Update(topology);
            engine.SetPaths([new DecidedPath(ids[2], [PathStep.Over(ids[1], ids[2])])]);
        });
        clock.Run(TimeSpan.FromMilliseconds(20));
        Assert.Equal(2, engine.QualityTo(ids[2])!.Value.PushedSegments);
        long Send(int packets)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (; packets > 0; packets--)
            {
                var packet = pool.Rent();
                packet.Append(100);
                if (engine.Send(packet, PayloadType.Quic, ids[2], 7, TrafficClass.Bulk) != SendResult.Sent) return -1;
                _ = engine.QualityTo(ids[2]);
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Send(100);
        Assert.Equal(0, Send(1000));
    }

    private static void TryPaths(Random random)
    {
        var layer = RandomLayer(random);
        var count = layer.Vertices.Count;
        var links = layer.Links.ToArray();
        var passed = new List<(int From, int To)>();
        foreach (var (a, b) in links)
        {
            layer.Flow(a, b).Tap = _ => Pass(a, b);
            layer.Flow(b, a).Tap = _ => Pass(b, a);
        }
        bool Pass(int from, int to)
        {
            passed.Add((from, to));
            return true;
        }
        for (var tries = 0; tries < 8; tries++)
        {
            var (from, to) = (random.Next(count), random.Next(count));
            if (from == to) continue;
            var steps = Enumerable.Range(0, random.Next(DecidedPath.MaxSteps + 1)).Select(_ => RandomStep(random, links, count)).ToArray();
            Decide(layer, from, to, steps);
            var status = Status(layer, from);
            var what = $"{from} to {to} via {string.Join(' ', steps)}: {status.Problem}\n{layer}";

            Check(status.Problem is null ? steps : []);
            // A link goes: the vertices beside it lead around, unless that takes more segments than a packet has room for. A vertex that is cut off is not reached before the news has come.
            var (a, b) = links[random.Next(links.Length)];
            layer.Cut(a, b);
            if (layer.Reachability() is var group && group[from] == group[to])
            {
                var refused = TooManySegments(layer);
                var arrived = Arrived();
                var isWhole = steps.SelectMany(static s => s.Split('>')).All(s => group[int.Parse(s)] == group[from]);
                Assert.True(arrived || !isWhole || TooManySegments(layer) > refused, $"{a}-{b} cut, {what}");
                layer.Publish();
                layer.Run(TimeSpan.FromMilliseconds(250));
                Check(Status(layer, from).Problem is null ? steps : []);
            }
            layer.Restore();
            layer.Publish();
            Check(status.Problem is null ? steps : []);

            bool Arrived()
            {
                passed.Clear();
                layer.Send(from, to, flow: (uint)random.Next());
                layer.Run(TimeSpan.FromMilliseconds(50));
                layer.AssertNoLeak();
                var received = layer[to].Received.Count;
                layer[to].Received.Clear();
                Assert.InRange(received, 0, 1);
                return received == 1;
            }

            void Check(string[] expected)
            {
                var quality = layer[from].Engine.QualityTo(layer[to].Id)!.Value;
                Assert.True(Arrived(), what);
                var metrics = layer.Topology();
                long sum = 0;
                var (at, step) = (from, 0);
                Skip();
                foreach (var (begin, end) in passed)
                {
                    Assert.Equal(at, begin);
                    sum += metrics.Find(layer[begin].Id)!.Adjacencies.Single(x => x.Neighbour == layer[end].Id).MetricMicroseconds;
                    at = end;
                    if (step < expected.Length && expected[step] == $"{begin}>{end}") step++;
                    Skip();
                }
                Assert.Equal(to, at);
                Assert.True(step == expected.Length, $"step {step} was not passed: {what}");
                Assert.Equal(sum, quality.MetricMicroseconds);
                Assert.InRange(passed.Count, 1, quality.Hops);

                void Skip()
                {
                    while (step < expected.Length && expected[step] == $"{at}") step++;
                }
            }
        }
    }

    private static SimulatedLayer RandomLayer(Random random)
    {
        var layer = new SimulatedLayer(random.Next(3, 9));
        var most = random.Next(3) switch { 0 => 1, 1 => 4, _ => 100 };
        var linked = new HashSet<(int, int)>();
        void Link(int a, int b)
        {
            if (a != b && linked.Add((Math.Min(a, b), Math.Max(a, b)))) layer.Link(a, b, (uint)random.Next(1, most + 1), (uint)random.Next(1, most + 1));
        }
        for (var v = 1; v < layer.Vertices.Count; v++) Link(v, random.Next(v));
        for (var extra = random.Next(layer.Vertices.Count + 3); extra > 0; extra--) Link(random.Next(layer.Vertices.Count), random.Next(layer.Vertices.Count));
        layer.Publish();
        return layer;
    }

    private static string RandomStep(Random random, (int, int)[] links, int count)
    {
        if (random.Next(2) == 0) return $"{random.Next(count)}";
        var (a, b) = links[random.Next(links.Length)];
        return random.Next(2) == 0 ? $"{a}>{b}" : $"{b}>{a}";
    }

    private static long TooManySegments(SimulatedLayer layer) => layer.Vertices.Sum(static v => v.Engine.Counters.Dropped(DropReason.TooManySegments));

    private static void Decide(SimulatedLayer layer, int from, int to, params string[] via)
    {
        PathStep Step(string text) => text.Split('>') is [var a, var b]
            ? PathStep.Over(layer[int.Parse(a)].Id, layer[int.Parse(b)].Id)
            : PathStep.Through(layer[int.Parse(text)].Id);
        layer.InTurn(layer[from], () => layer[from].Engine.SetPaths([new DecidedPath(layer[to].Id, [.. via.Select(Step)])]));
    }

    private static DecidedPathStatus Status(SimulatedLayer layer, int vertex) => Assert.Single(layer[vertex].Engine.Status().Paths);

    private static string[] Trace(SimulatedLayer layer, int from, int to)
    {
        var hops = layer[from].Loop.RunAsync(() => layer[from].Engine.TraceAsync(layer[to].Id));
        layer.Clock.RunUntil(() => hops.IsCompleted, TimeSpan.FromSeconds(30));
        return [.. hops.GetAwaiter().GetResult().Select(static h => h.Vertex!.Name)];
    }

    /// <summary>A link that takes everything and leads nowhere.</summary>
    private sealed class Sink(EventLoop loop, PacketPool pool) : DatagramFlow
    {
        public override EventLoop Loop { get; } = loop;

        public override PacketPool Pool { get; } = pool;

        public override int MaxDatagramBytes => 17_160 + 64;

        public override int UnsegmentedDatagramBytes => 1432;

        public override FlowQuality Quality => new(null, 0, null);

        public override void Send(PacketBuffer packet, TrafficClass trafficClass) => packet.Return();
    }
}
