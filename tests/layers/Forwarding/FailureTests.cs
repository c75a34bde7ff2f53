namespace Florete.Layers.Tests;

/// <summary>What happens over time when links come and go.</summary>
public class FailureTests
{
    [Fact]
    public void A_link_cut_in_mid_traffic_costs_only_the_packets_on_it()
    {
        var layer = SimulatedLayer.Ring(4);
        // A packet every 100 µs on the direct link 0–1, 500 µs long: 5 or so are on it when it breaks.
        var sent = 0;
        void Sending(int packets)
        {
            for (; packets > 0; packets--, sent++)
            {
                Assert.Equal(SendResult.Sent, layer.Send(0, 1, BitConverter.GetBytes(sent)));
                layer.Run(TimeSpan.FromMicroseconds(100));
            }
        }
        Sending(100);
        layer.Cut(0, 1);
        Sending(100);
        layer.Publish();
        Sending(3000);
        layer.Run(TimeSpan.FromMilliseconds(10));
        var numbers = layer[1].Received.Select(r => BitConverter.ToInt32(r.Payload)).ToArray();
        Assert.InRange(sent - numbers.Length, 1, 6);
        Assert.Equal(numbers.Distinct().Count(), numbers.Length);
        Assert.All(Enumerable.Range(0, sent).Except(numbers), lost => Assert.InRange(lost, 94, 100));
        layer.AssertNoLeak();
    }

    [Fact]
    public void The_vertex_beside_a_failure_holds_its_repairs_and_the_others_do_not_wait()
    {
        var layer = SimulatedLayer.Line(2 + 3);
        layer.Link(0, 4, there: 1500);
        layer.Publish();
        layer.Cut(0, 1);
        layer.Publish();
        Assert.True(layer[0].Engine.IsHolding);
        Assert.True(layer[1].Engine.IsHolding);
        Assert.False(layer[2].Engine.IsHolding);
        // Vertex 0 still has the old next hop in its table: its packets to 1 are repaired, not routed.
        layer.Send(0, 1);
        Assert.Equal(1, layer[0].Engine.Counters.Repaired);
        Assert.Equal(2, layer[2].Engine.QualityTo(layer[4].Id)!.Value.Hops);
        Assert.Equal(3, layer[2].Engine.QualityTo(layer[0].Id)!.Value.Hops);
        layer.Run(TimeSpan.FromMilliseconds(200));
        Assert.False(layer[0].Engine.IsHolding);
        layer.Send(0, 1);
        Assert.Equal(1, layer[0].Engine.Counters.Repaired);
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(2, layer[1].Received.Count);
    }

    [Fact]
    public void Other_news_ends_the_hold()
    {
        var layer = SimulatedLayer.Ring(4);
        layer.Cut(0, 1);
        layer.Publish();
        Assert.True(layer[0].Engine.IsHolding);
        layer.Link(0, 2, there: 300);
        layer.Publish();
        Assert.False(layer[0].Engine.IsHolding);
        Assert.Equal(300, layer[0].Engine.QualityTo(layer[2].Id)!.Value.MetricMicroseconds);
    }

    [Fact]
    public void A_second_failure_ends_the_hold()
    {
        var layer = new SimulatedLayer(4);
        layer.Link(0, 1);
        layer.Link(0, 2);
        layer.Link(0, 3, there: 5000);
        layer.Link(1, 3);
        layer.Link(2, 3);
        layer.Publish();
        layer.Cut(0, 1);
        layer.Publish();
        layer.Cut(0, 2);
        Assert.False(layer[0].Engine.IsHolding);
        layer.Publish();
        layer.Send(0, 1);
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Single(layer[1].Received);
    }

    [Fact]
    public void A_link_that_returns_within_the_hold_is_used_at_once()
    {
        var layer = SimulatedLayer.Ring(4);
        layer.Cut(0, 1);
        layer.Publish();
        layer.Restore();
        var before = layer.Flow(0, 1).SentPackets;
        layer.Publish();
        Assert.False(layer[0].Engine.IsHolding);
        layer.Send(0, 1);
        Assert.Equal(before + 1, layer.Flow(0, 1).SentPackets);
    }

    [Fact]
    public void An_adjacency_segment_whose_link_is_lost_leads_around()
    {
        var layer = SimulatedLayer.Ring(5);
        layer.Cut(2, 3);
        layer.InTurn(layer[0], () =>
        {
            var packet = layer[0].Pool.Rent();
            packet.Append(1)[0] = 1;
            Label[] via = [layer[2].Segment, layer[2].Adjacencies[layer[3].Id].Segment];
            layer[0].Engine.Send(packet, PayloadType.Quic, layer[3].Id, via, 100, Portals.TrafficClass.Bulk);
        });
        layer.Run(TimeSpan.FromMilliseconds(20));
        Assert.Single(layer[3].Received);
        Assert.Equal(1, layer[2].Engine.Counters.Repaired);
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_repair_never_exceeds_six_segments()
    {
        var layer = SimulatedLayer.Ring(5);
        layer.Cut(0, 1);
        layer.InTurn(layer[0], () =>
        {
            var packet = layer[0].Pool.Rent();
            Label[] via = [layer[1].Segment, layer[2].Segment, layer[1].Segment, layer[2].Segment, layer[1].Segment];
            Assert.Equal(SendResult.TooLarge, layer[0].Engine.Send(packet, PayloadType.Quic, layer[2].Id, via, 100, Portals.TrafficClass.Bulk));
        });
        Assert.Equal(1, layer[0].Engine.Counters.Dropped(DropReason.TooManySegments));
        layer.AssertNoLeak();
    }
}
