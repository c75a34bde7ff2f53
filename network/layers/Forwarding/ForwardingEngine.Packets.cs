using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>The way of a packet through the engine; nothing here allocates. Who calls gives the packet away.</summary>
public sealed partial class ForwardingEngine
{
    /// <summary>A datagram that arrived over an adjacency. Takes ownership.</summary>
    internal void Receive(PacketBuffer packet, Adjacency arrival)
    {
        Counters.Received++;
        if (!LabelStack.TryMeasure(packet.Span, out var entries)) Drop(packet, DropReason.Malformed, default);
        else if (entries == 1) ReceiveNeighbourLocal(packet, arrival);
        else Process(packet, entries, arrival);
    }

    private void ReceiveNeighbourLocal(PacketBuffer packet, Adjacency arrival)
    {
        var entry = LabelStackEntry.Read(packet.Span);
        var type = (PayloadType)packet.Span[LabelStackEntry.Bytes];
        if (entry.Label != Label.Neighbour || entry.TimeToLive != 1 || type != PayloadType.Directory)
        {
            Drop(packet, DropReason.Malformed, default);
            return;
        }
        packet.TrimStart(LabelStackEntry.Bytes + 1);
        GiveToReceiver(packet, new PacketHeader(type, default, 0, TrafficClass.Control, 1, true, arrival));
    }

    /// <summary>Follows the stack until the packet has left or was delivered. <paramref name="arrival"/> null: made here.</summary>
    private SendResult Process(PacketBuffer packet, int entries, Adjacency? arrival)
    {
        while (true)
        {
            var top = LabelStackEntry.Read(packet.Span);
            if (entries <= LabelStack.TrailingEntries) return Drop(packet, DropReason.Malformed, SendResult.BadPath);
            if (top.TimeToLive == 0) return Drop(packet, DropReason.TimeToLive, SendResult.NoRoute);
            if (IsOwn(top.Label))
            {
                entries--;
                Pop(packet, top.TimeToLive);
                if (entries == LabelStack.TrailingEntries) return Deliver(packet, arrival);
                continue;
            }
            if (Label.Nodes.Contains(top.Label))
            {
                return table.Find(top.Label) is { } route
                    ? Forward(packet, entries, top, arrival, route)
                    : Refuse(packet, entries, arrival, DropReason.NoRoute, SendResult.NoRoute);
            }
            // An adjacency segment is followed by at least the neighbour's node segment.
            if (!Label.Adjacencies.Contains(top.Label) || entries == LabelStack.TrailingEntries + 1)
            {
                return Drop(packet, DropReason.Malformed, SendResult.BadPath);
            }
            return ForwardByAdjacency(packet, entries, top, arrival);
        }
    }

    private SendResult Forward(PacketBuffer packet, int entries, LabelStackEntry top, Adjacency? arrival, Route route)
    {
        if (!TakeHop(packet, ref top, arrival)) return Refuse(packet, entries, arrival, DropReason.TimeToLive, SendResult.NoRoute);
        var hops = route.NextHops;
        var next = hops.Length == 1 ? hops[0].Best : Choose(hops, LabelStack.At(packet.Span, entries - LabelStack.TrailingEntries).Label);
        return next is not null
            ? Transmit(packet, entries, top, next, arrival)
            : ForwardByRepair(packet, entries, top, arrival, route.Repair);
    }

    private SendResult ForwardByAdjacency(PacketBuffer packet, int entries, LabelStackEntry top, Adjacency? arrival)
    {
        if (!adjacencySegments.TryGetValue(top.Label.Value, out var id) || !neighbours.TryGetValue(id, out var links))
        {
            return Refuse(packet, entries, arrival, DropReason.NoRoute, SendResult.NoRoute);
        }
        if (!TakeHop(packet, ref top, arrival)) return Refuse(packet, entries, arrival, DropReason.TimeToLive, SendResult.NoRoute);
        var link = links.Best;
        foreach (var adjacency in links.All)
        {
            if (adjacency.Segment == top.Label) link = adjacency;
        }
        if (link is not null)
        {
            Pop(packet, top.TimeToLive);
            return Transmit(packet, entries - 1, top, link, arrival);
        }
        // The link is gone: on to the same neighbour by another way, its node segment in place of the adjacency segment.
        if (table.Find(id) is not { } route) return Refuse(packet, entries, arrival, DropReason.NoRepair, SendResult.NoRoute);
        top = top with { Label = route.Segment };
        top.Write(packet.Span);
        var next = Choose(route.NextHops, LabelStack.At(packet.Span, entries - LabelStack.TrailingEntries).Label);
        return next is not null
            ? Transmit(packet, entries, top, next, arrival)
            : ForwardByRepair(packet, entries, top, arrival, route.LinkRepair);
    }

    private SendResult ForwardByRepair(PacketBuffer packet, int entries, LabelStackEntry top, Adjacency? arrival, Repair? repair)
    {
        if (repair?.FirstHop.Best is not { } next) return Refuse(packet, entries, arrival, DropReason.NoRepair, SendResult.NoRoute);
        var segments = repair.Segments;
        if (entries + segments.Length > LabelStack.MaxEntries) return Refuse(packet, entries, arrival, DropReason.TooManySegments, SendResult.TooLarge);
        for (var i = segments.Length - 1; i >= 0; i--) (top with { Label = segments[i], IsBottom = false }).Write(packet.Prepend(LabelStackEntry.Bytes));
        Counters.Repaired++;
        return Transmit(packet, entries + segments.Length, top, next, arrival);
    }

    private SendResult Transmit(PacketBuffer packet, int entries, LabelStackEntry top, Adjacency link, Adjacency? arrival)
    {
        if (packet.Length > link.Flow.MaxDatagramBytes) return Refuse(packet, entries, arrival, DropReason.TooLarge, SendResult.TooLarge);
        if (arrival is null) Counters.Sent++;
        else Counters.Forwarded++;
        link.Flow.Send(packet, LabelStack.ClassOf(top));
        return SendResult.Sent;
    }

    /// <summary>Counts the hop in the top entry; false: the packet may go no further. The first vertex does not count.</summary>
    private static bool TakeHop(PacketBuffer packet, ref LabelStackEntry top, Adjacency? arrival)
    {
        if (arrival is null) return true;
        if (top.TimeToLive <= 1) return false;
        top = top with { TimeToLive = (byte)(top.TimeToLive - 1) };
        packet.Span[LabelStackEntry.Bytes - 1] = top.TimeToLive;
        return true;
    }

    /// <summary>The flow's choice among equal next hops; flows of a lost one move to the following, the others stay.</summary>
    private Adjacency? Choose(NeighbourLinks[] hops, Label flowLabel)
    {
        // Fibonacci hashing; the high half of the product is the evenly spread one.
        var hash = (flowLabel.Value ^ hashSeed) * 2_654_435_769u;
        var at = (int)(((ulong)hash * (uint)hops.Length) >> 32);
        for (var tried = 0; tried < hops.Length; tried++)
        {
            if (hops[at].Best is { } adjacency) return adjacency;
            if (++at == hops.Length) at = 0;
        }
        return null;
    }

    private static void Pop(PacketBuffer packet, byte timeToLive)
    {
        packet.TrimStart(LabelStackEntry.Bytes);
        packet.Span[LabelStackEntry.Bytes - 1] = timeToLive;
    }

    private SendResult Deliver(PacketBuffer packet, Adjacency? arrival)
    {
        var flow = LabelStack.At(packet.Span, 0);
        var backward = LabelStack.At(packet.Span, 1);
        var type = (PayloadType)packet.Span[2 * LabelStackEntry.Bytes];
        if (!Label.Nodes.Contains(backward.Label) || type == PayloadType.Directory) return Drop(packet, DropReason.Malformed, SendResult.BadPath);
        packet.TrimStart((2 * LabelStackEntry.Bytes) + 1);
        var header = new PacketHeader(type, backward.Label, flow.Label.Value, LabelStack.ClassOf(flow), flow.TimeToLive, false, arrival);
        if (arrival is not null)
        {
            GiveToReceiver(packet, header);
            return SendResult.Sent;
        }
        Counters.Sent++;
        return loopback.TryAdd(packet, header) ? SendResult.Sent : Drop(packet, DropReason.LoopbackFull, SendResult.QueueFull);
    }

    private void GiveToReceiver(PacketBuffer packet, in PacketHeader header)
    {
        if (receivers[(byte)header.Type] is not { } receiver)
        {
            Drop(packet, DropReason.NoReceiver, default);
            return;
        }
        Counters.Delivered++;
        receiver.OnPacket(packet, header);
    }
}
