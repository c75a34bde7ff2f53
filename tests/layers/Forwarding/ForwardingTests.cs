using Florete.Portals;

namespace Florete.Layers.Tests;

public class ForwardingTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);

    [Fact]
    public void A_packet_crosses_a_line_and_names_its_maker()
    {
        var layer = SimulatedLayer.Line(4);
        Assert.Equal(SendResult.Sent, layer.Send(0, 3, [7, 8, 9], flow: 0x12345, trafficClass: TrafficClass.Interactive));
        layer.Run(Soon);
        var received = Assert.Single(layer[3].Received);
        Assert.Equal(new byte[] { 7, 8, 9 }, received.Payload);
        Assert.Equal(0x12345u, received.Header.FlowLabel);
        Assert.Equal(TrafficClass.Interactive, received.Header.Class);
        Assert.Equal(62, received.Header.TimeToLive);
        Assert.Same(layer[3].Adjacencies[layer[2].Id], received.Header.Arrival);
        Assert.True(layer[3].Engine.TryResolve(received.Header.Backward, out var maker));
        Assert.Equal(layer[0].Id, maker);
        Assert.Equal(TrafficClass.Interactive, Assert.Single(layer.Flow(1, 2).Classes));
        Assert.Equal(1, layer[1].Engine.Counters.Forwarded);
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_packet_to_itself_arrives_after_the_sending_callback()
    {
        var layer = SimulatedLayer.Line(2);
        layer.InTurn(layer[0], () =>
        {
            Assert.Equal(SendResult.Sent, layer[0].Send(layer[0]));
            Assert.Empty(layer[0].Received);
        });
        Assert.Null(Assert.Single(layer[0].Received).Header.Arrival);
        layer.AssertNoLeak();
    }

    [Fact]
    public void Packets_to_itself_are_bounded()
    {
        var layer = SimulatedLayer.Line(1);
        var results = new List<SendResult>();
        layer.InTurn(layer[0], () =>
        {
            for (var i = 0; i < 2000; i++) results.Add(layer[0].Send(layer[0]));
        });
        Assert.Contains(SendResult.QueueFull, results);
        Assert.Equal(results.Count(r => r == SendResult.Sent), layer[0].Received.Count);
        Assert.Equal(results.Count(r => r == SendResult.QueueFull), layer[0].Engine.Counters.Dropped(DropReason.LoopbackFull));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_neighbour_local_packet_needs_no_topology_and_goes_no_further()
    {
        var layer = new SimulatedLayer(3);
        layer.Link(0, 1);
        layer.Link(1, 2);
        layer.InTurn(layer[0], () =>
        {
            var packet = layer[0].Pool.Rent();
            packet.Append(2).Fill(5);
            layer[0].Engine.SendToNeighbour(layer[0].Adjacencies[layer[1].Id], packet, PayloadType.Directory);
        });
        layer.Run(Soon);
        var received = Assert.Single(layer[1].Received);
        Assert.True(received.Header.IsNeighbourLocal);
        Assert.Same(layer[1].Adjacencies[layer[0].Id], received.Header.Arrival);
        Assert.Equal(TrafficClass.Control, Assert.Single(layer.Flow(0, 1).Classes));
        Assert.Empty(layer[2].Received);
        layer.AssertNoLeak();
    }

    [Fact]
    public void The_time_to_live_is_the_number_of_links_a_packet_may_pass()
    {
        var layer = SimulatedLayer.Line(4);
        layer.Send(0, 3, timeToLive: 2);
        layer.Run(Soon);
        Assert.Empty(layer[3].Received);
        Assert.Equal(1, layer[2].Engine.Counters.Dropped(DropReason.TimeToLive));
        layer.Send(0, 3, timeToLive: 3);
        layer.Run(Soon);
        Assert.Equal(1, Assert.Single(layer[3].Received).Header.TimeToLive);
        layer.AssertNoLeak();
    }

    [Fact]
    public void Without_a_path_a_send_says_so()
    {
        var layer = new SimulatedLayer(2);
        layer.Publish();
        Assert.Equal(SendResult.NoRoute, layer.Send(0, 1));
        Assert.Null(layer[0].Engine.QualityTo(layer[1].Id));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_packet_larger_than_the_link_is_refused()
    {
        var layer = SimulatedLayer.Line(2);
        layer.Flow(0, 1).MaxBytes = 100;
        Assert.Equal(SendResult.TooLarge, layer.Send(0, 1, new byte[88]));
        Assert.Equal(SendResult.Sent, layer.Send(0, 1, new byte[87]));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_flow_stays_on_one_of_equal_paths_and_flows_spread()
    {
        var layer = SimulatedLayer.Ring(4);
        for (var flow = 0u; flow < 400; flow++)
        {
            var before = layer.Flow(0, 1).SentPackets;
            for (var i = 0; i < 3; i++) layer.Send(0, 2, flow: flow * 2654);
            Assert.Contains(layer.Flow(0, 1).SentPackets - before, new[] { 0, 3 });
        }
        layer.Run(Soon);
        Assert.Equal(1200, layer[2].Received.Count);
        Assert.InRange(layer.Flow(0, 1).SentPackets, 450, 750);
        layer.AssertNoLeak();
    }

    [Fact]
    public void An_explicit_path_is_followed_segment_by_segment()
    {
        var layer = SimulatedLayer.Ring(4);
        layer.InTurn(layer[0], () =>
        {
            var packet = layer[0].Pool.Rent();
            packet.Append(1)[0] = 1;
            Label[] via = [layer[3].Segment, layer[3].Adjacencies[layer[2].Id].Segment, layer[2].Adjacencies[layer[1].Id].Segment];
            Assert.Equal(SendResult.Sent, layer[0].Engine.Send(packet, PayloadType.Quic, layer[1].Id, via, 100, TrafficClass.Bulk));
        });
        layer.Run(Soon);
        Assert.Equal(62, Assert.Single(layer[1].Received).Header.TimeToLive);
        Assert.Equal(1, layer.Flow(2, 1).SentPackets);
        layer.AssertNoLeak();
    }

    [Fact]
    public void After_a_move_the_former_segment_is_understood()
    {
        var layer = SimulatedLayer.Line(3);
        layer[2].Engine.SetSegment(new Label(9000));
        layer.Send(0, 2);
        layer.Run(Soon);
        Assert.Single(layer[2].Received);
    }

    [Fact]
    public void The_quality_of_a_path_is_that_of_its_worst_link()
    {
        var layer = SimulatedLayer.Line(3);
        TopologyVertex Vertex(int v, params (int To, uint Metric, uint Loss, ulong Capacity)[] to) => new(layer[v].Id, layer[v].Segment,
            [.. to.Select(t => new TopologyAdjacency(layer[t.To].Id, new Label(100 + (uint)t.To), t.Metric, t.Loss, t.Capacity))]);
        var topology = new Topology([
            Vertex(0, (1, 10, 5, 0)), Vertex(1, (0, 99, 900, 1), (2, 30, 70, 5_000)), Vertex(2, (1, 99, 999, 1))]);
        layer.InTurn(layer[0], () => layer[0].Engine.Update(topology));
        layer.Run(Soon);
        var quality = layer[0].Engine.QualityTo(layer[2].Id)!.Value;
        Assert.Equal(new PathQuality(40, 2, 70, 5_000, layer.Flow(0, 1).MaxBytes, 1432), quality);
    }
}
