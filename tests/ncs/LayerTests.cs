using Florete.Layers;
using Florete.Layers.Tests;
using Florete.Ncs.Contracts;

namespace Florete.Ncs.Tests;

/// <summary>Computed paths in the forwarding engines that are to follow them.</summary>
public class LayerTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Packets_of_all_flows_pass_exactly_the_vertices_that_were_computed(int seed)
    {
        var random = new Random(seed);
        var decided = 0;
        for (var graph = 0; graph < 60; graph++)
        {
            var (layer, network, passed) = RandomLayer(random);
            for (var tries = 0; tries < 6; tries++)
            {
                var (from, to) = (random.Next(network.Count), random.Next(network.Count));
                if (from == to) continue;
                var avoid = Enumerable.Range(0, random.Next(3)).Select(_ => random.Next(network.Count)).Where(v => v != from && v != to).Select(static v => $"v{v}").ToArray();
                var answer = PathComputation.Answer(network, new PathRequest { From = $"v{from}", To = $"v{to}", Avoid = avoid, Count = random.Next(1, 3), Disjoint = (Disjointness)random.Next(2) });
                foreach (var path in answer.Paths)
                {
                    layer.InTurn(layer[from], () => layer[from].Engine.SetPaths([new DecidedPath(layer[to].Id, [.. path.Via.Select(s => Step(layer, s))])]));
                    Assert.Null(layer[from].Engine.Status().Paths.Single().Problem);
                    Assert.Equal(path.MetricMicroseconds, layer[from].Engine.QualityTo(layer[to].Id)!.Value.MetricMicroseconds);
                    for (var flow = 0; flow < 4; flow++)
                    {
                        passed.Clear();
                        passed.Add(from);
                        Assert.Equal(SendResult.Sent, layer.Send(from, to, flow: (uint)random.Next()));
                        layer.Run(TimeSpan.FromMilliseconds(20));
                        Assert.Equal(path.Vertices, passed.Select(static v => $"v{v}"));
                        Assert.Single(layer[to].Received);
                        layer[to].Received.Clear();
                    }
                    decided++;
                }
            }
        }
        Assert.InRange(decided, 150, 1000);
    }

    private static PathStep Step(SimulatedLayer layer, string text) => text.Split('>') is [var from, var to]
        ? PathStep.Over(layer[int.Parse(from[1..])].Id, layer[int.Parse(to[1..])].Id)
        : PathStep.Through(layer[int.Parse(text[1..])].Id);

    private static (SimulatedLayer Layer, Network Network, List<int> Passed) RandomLayer(Random random)
    {
        var layer = new SimulatedLayer(random.Next(3, 8));
        var metrics = random.Next(3) switch { 0 => 1, 1 => 4, _ => 50 };
        var links = new List<NetworkLink>();
        var passed = new List<int>();
        for (var a = 0; a < layer.Vertices.Count; a++)
        {
            for (var b = a + 1; b < layer.Vertices.Count; b++)
            {
                if (b != a + 1 && random.Next(2) == 0) continue;
                var (there, back) = ((uint)random.Next(1, metrics + 1), (uint)random.Next(1, metrics + 1));
                layer.Link(a, b, there, back);
                links.Add(new NetworkLink($"v{a}", $"v{b}", there, 0));
                links.Add(new NetworkLink($"v{b}", $"v{a}", back, 0));
                var (one, other) = (a, b);
                layer.Flow(a, b).Tap = _ => Pass(other);
                layer.Flow(b, a).Tap = _ => Pass(one);
            }
        }
        bool Pass(int to)
        {
            passed.Add(to);
            return true;
        }
        layer.Publish();
        return (layer, SmallNetworks.Make([.. links]), passed);
    }
}
