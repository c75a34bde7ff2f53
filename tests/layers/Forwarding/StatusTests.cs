using System.Diagnostics.Metrics;

namespace Florete.Layers.Tests;

public class StatusTests
{
    [Fact]
    public void The_status_shows_next_hops_and_repairs_in_words()
    {
        var layer = SimulatedLayer.Ring(4);
        var status = layer[0].Engine.Status();
        Assert.Equal(2, status.Adjacencies.Count);
        Assert.Equal(layer[0].Segment, status.Segment);
        Assert.False(status.IsHolding);
        var direct = status.Routes.Single(r => r.Vertex == layer[1].Id);
        Assert.Equal([layer[1].Id], direct.NextHops);
        // Around: to v3, whose equal paths to v1 include the one back through v0; v3's best path to v2 is safe, v2's to v1 is its link.
        Assert.Equal($"by v3, segments {layer[2].Segment}, against loss of the link", direct.Repair);
        var across = status.Routes.Single(r => r.Vertex == layer[2].Id);
        Assert.Equal(2, across.NextHops.Count);
        Assert.Equal("the other next hops", across.Repair);
    }

    [Fact]
    public void Counters_are_published_by_way_and_by_reason()
    {
        var layer = SimulatedLayer.Line(3);
        layer.Send(0, 2, timeToLive: 1);
        layer.Run(TimeSpan.FromMilliseconds(10));
        using var meter = new Meter("test");
        layer[1].Engine.Publish(meter);
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter == meter) l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) => seen[tags[1].Value!.ToString()!] = value);
        listener.Start();
        listener.RecordObservableInstruments();
        Assert.Equal(1, seen["received"]);
        Assert.Equal(1, seen["TimeToLive"]);
        Assert.Equal(0, seen["Malformed"]);
    }

    [Fact]
    public void Repairs_of_a_large_layer_are_computed_over_several_turns_and_complete()
    {
        var layer = new SimulatedLayer(60);
        for (var v = 1; v < 60; v++) layer.Link(0, v);
        for (var v = 2; v < 60; v++) layer.Link(v - 1, v, there: 700);
        layer.Publish();
        Assert.All(layer[0].Engine.Status().Routes, r => Assert.NotNull(r.Repair));
        layer.Cut(0, 30);
        layer.Send(0, 30);
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Single(layer[30].Received);
    }
}
