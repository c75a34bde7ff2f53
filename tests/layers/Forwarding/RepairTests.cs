namespace Florete.Layers.Tests;

/// <summary>The promise of TI-LFA, tried on every failure of many small layers.</summary>
public class RepairTests
{
    [Fact]
    public void A_ring_of_four_repairs_with_an_adjacency_segment_where_no_plain_alternate_exists()
    {
        var layer = SimulatedLayer.Ring(4);
        layer.Cut(0, 1);
        Assert.True(layer[0].Engine.IsHolding);
        layer.Send(0, 1);
        layer.Run(TimeSpan.FromMilliseconds(5));
        var received = Assert.Single(layer[1].Received);
        Assert.Equal(62, received.Header.TimeToLive);
        Assert.Equal(1, layer[0].Engine.Counters.Repaired);
        layer.AssertNoLeak();
    }

    [Theory]
    [InlineData(1, 4, 8, false)]
    [InlineData(2, 5, 10, false)]
    [InlineData(3, 6, 12, true)]
    [InlineData(4, 4, 12, true)]
    public void After_any_single_failure_every_connected_pair_is_served_before_and_after_reconvergence(int seed, int least, int most, bool asymmetric)
    {
        var random = new Random(seed);
        for (var graph = 0; graph < 75; graph++) TryAllFailures(RandomLayer(random, least, most, asymmetric));
    }

    private static SimulatedLayer RandomLayer(Random random, int least, int most, bool asymmetric)
    {
        var layer = new SimulatedLayer(random.Next(least, most + 1));
        // Few distinct metrics make many equal paths; many make odd ones, such as links that are no shortest path.
        var metrics = random.Next(3) switch { 0 => 1, 1 => 4, _ => 100 };
        uint Metric() => (uint)random.Next(1, metrics + 1);
        var linked = new HashSet<(int, int)>();
        void Link(int a, int b)
        {
            if (a == b || !linked.Add((Math.Min(a, b), Math.Max(a, b)))) return;
            var metric = Metric();
            layer.Link(a, b, metric, asymmetric ? Metric() : metric);
        }
        var count = layer.Vertices.Count;
        for (var v = 1; v < count; v++) Link(v, random.Next(v));
        for (var extra = random.Next(count + 3); extra > 0; extra--) Link(random.Next(count), random.Next(count));
        layer.Publish();
        return layer;
    }

    private static void TryAllFailures(SimulatedLayer layer)
    {
        foreach (var (a, b) in layer.Links.ToArray()) TryFailure(layer, () => layer.Cut(a, b), lost: -1, $"link {a}-{b}");
        for (var v = 0; v < layer.Vertices.Count; v++) TryFailure(layer, () => layer.CutVertex(v), v, $"vertex {v}");
    }

    private static void TryFailure(SimulatedLayer layer, Action fail, int lost, string what)
    {
        fail();
        SendToAll(layer, lost, what + " before");
        layer.Publish();
        layer.Run(TimeSpan.FromMilliseconds(250));
        foreach (var vertex in layer.Vertices) Assert.False(vertex.Engine.IsHolding);
        SendToAll(layer, lost, what + " after");
        layer.Restore();
        layer.Publish();
    }

    private static void SendToAll(SimulatedLayer layer, int lost, string what)
    {
        var reach = layer.Reachability();
        var expected = new int[layer.Vertices.Count];
        for (var from = 0; from < layer.Vertices.Count; from++)
        {
            for (var to = 0; to < layer.Vertices.Count; to++)
            {
                if (from == to || from == lost || to == lost || reach[from] != reach[to]) continue;
                // Two flows: equal paths are tried both ways.
                for (var flow = 0; flow < 2; flow++)
                {
                    Assert.True(layer.SendNow(from, to, flow: 77u + ((uint)flow * 5_000)) == SendResult.Sent, $"{what}: {from} to {to} was not sent\n{layer}");
                    expected[to]++;
                }
            }
        }
        layer.Run(TimeSpan.FromMilliseconds(40));
        for (var v = 0; v < layer.Vertices.Count; v++)
        {
            Assert.True(layer[v].Received.Count == expected[v], $"{what}: {v} received {layer[v].Received.Count} of {expected[v]}\n{layer}");
            layer[v].Received.Clear();
        }
        layer.AssertNoLeak();
    }
}
