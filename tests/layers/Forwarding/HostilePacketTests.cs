using Florete.Portals;
using FsCheck.Fluent;

namespace Florete.Layers.Tests;

public class HostilePacketTests
{
    [Fact]
    public void Entries_read_as_they_were_written()
    {
        var check = Prop.ForAll<uint, byte, bool>((label, other, bottom) =>
        {
            var entry = new LabelStackEntry(new Label(label & Label.Max), (byte)(other & 7), bottom, other);
            var bytes = new byte[LabelStackEntry.Bytes];
            entry.Write(bytes);
            return LabelStackEntry.Read(bytes) == entry;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_stack_is_measured_to_its_bottom_only_within_the_packet_and_the_limit()
    {
        for (var entries = 1; entries <= LabelStack.MaxEntries + 2; entries++)
        {
            var packet = new byte[(entries * LabelStackEntry.Bytes) + 1];
            new LabelStackEntry(new Label(5000), 0, true, 1).Write(packet.AsSpan((entries - 1) * LabelStackEntry.Bytes));
            Assert.Equal(entries <= LabelStack.MaxEntries, LabelStack.TryMeasure(packet, out var measured));
            if (entries <= LabelStack.MaxEntries) Assert.Equal(entries, measured);
            Assert.False(LabelStack.TryMeasure(packet.AsSpan(..^1), out _));
        }
        Assert.False(LabelStack.TryMeasure([], out _));
    }

    [Fact]
    public void Random_packets_from_a_neighbour_never_throw_leak_or_go_uncounted()
    {
        var layer = SimulatedLayer.Ring(4);
        var random = new Random(7);
        uint[] labels = [0, 3, 13, 15, 16, 17, 18, 4095, 4096, 5000, 5001, 5002, 5003, 5004, Label.Max];
        const int Packets = 20_000;
        for (var i = 0; i < Packets; i++)
        {
            var bytes = new byte[random.Next(48)];
            random.NextBytes(bytes);
            // Half of them look like stacks, so that they get beyond the first check.
            for (var at = 0; i % 2 == 0 && at + 4 <= bytes.Length; at += 4)
            {
                var entry = new LabelStackEntry(new Label(labels[random.Next(labels.Length)]), (byte)random.Next(8), random.Next(3) == 0, (byte)random.Next(5));
                entry.Write(bytes.AsSpan(at));
            }
            layer.InTurn(layer[1], () => layer.Flow(1, 0).Arrive(bytes));
        }
        layer.Run(TimeSpan.FromSeconds(2));
        layer.AssertNoLeak();
        long received = 0, accounted = 0;
        foreach (var vertex in layer.Vertices)
        {
            var counters = vertex.Engine.Counters;
            received += counters.Received;
            // OAM answers are made here (Sent) and may end here; what arrived was passed on, delivered or dropped.
            accounted += counters.Forwarded + counters.Delivered + Enum.GetValues<DropReason>().Sum(counters.Dropped);
        }
        Assert.True(received >= Packets);
        Assert.True(accounted >= received);
        Assert.All(Enum.GetValues<DropReason>().Where(r => r is DropReason.Malformed or DropReason.TimeToLive or DropReason.NoRoute),
            r => Assert.True(layer[1].Engine.Counters.Dropped(r) > 0, r.ToString()));
    }

    [Theory]
    [InlineData(13u, 2, 4)] // another time to live
    [InlineData(13u, 1, 1)] // another payload type
    [InlineData(3u, 1, 4)] // implicit null
    [InlineData(5001u, 1, 4)] // a segment without flow label and backward segment
    public void Neighbour_local_packets_are_taken_only_in_their_exact_form(uint label, byte timeToLive, byte type)
    {
        var layer = SimulatedLayer.Line(3);
        var packet = new byte[8];
        new LabelStackEntry(new Label(label), 2, true, timeToLive).Write(packet);
        packet[4] = type;
        layer.InTurn(layer[1], () => layer.Flow(1, 0).Arrive(packet));
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(1, layer[1].Engine.Counters.Dropped(DropReason.Malformed));
        Assert.All(layer.Vertices, v => Assert.Empty(v.Received));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_directory_message_is_never_taken_from_afar()
    {
        var layer = SimulatedLayer.Line(3);
        layer.InTurn(layer[0], () =>
        {
            var packet = layer[0].Pool.Rent();
            layer[0].Engine.Send(packet, PayloadType.Directory, layer[2].Id, 1, TrafficClass.Bulk);
        });
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Empty(layer[2].Received);
        Assert.Equal(1, layer[2].Engine.Counters.Dropped(DropReason.Malformed));
    }
}
