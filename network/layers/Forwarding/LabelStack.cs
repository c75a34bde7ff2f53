using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// The header of a layer's packet (docs/protocols/layer-packet.md), read and written in place. Nothing here throws on what a peer sent.
/// </summary>
public static class LabelStack
{
    /// <summary>Segments, flow label and backward segment.</summary>
    public const int MaxEntries = LayerSizes.MaxSegments + 2;

    /// <summary>Flow label and backward segment.</summary>
    internal const int TrailingEntries = 2;

    private const uint FirstUnreservedLabel = 16;

    /// <summary>
    /// Counts the entries to the one with the S bit; false if there is none within <see cref="MaxEntries"/>, or no payload type after it.
    /// </summary>
    public static bool TryMeasure(ReadOnlySpan<byte> packet, out int entries)
    {
        for (entries = 1; entries <= MaxEntries; entries++)
        {
            var end = entries * LabelStackEntry.Bytes;
            if (packet.Length <= end) return false;
            if ((packet[end - 2] & 1) != 0) return true;
        }
        return false;
    }

    /// <summary>Pushes payload type, backward segment, flow label and the segments; <paramref name="destination"/> comes to lie lowest.</summary>
    internal static void Push(
        PacketBuffer packet, PayloadType type, Label backward, uint flowLabel, ReadOnlySpan<Label> via, Label destination, TrafficClass trafficClass, byte timeToLive)
    {
        var header = packet.Prepend(LayerSizes.BaseHeaderBytes + (via.Length * LabelStackEntry.Bytes));
        var tc = (byte)trafficClass;
        foreach (var segment in via)
        {
            new LabelStackEntry(segment, tc, false, timeToLive).Write(header);
            header = header[LabelStackEntry.Bytes..];
        }
        new LabelStackEntry(destination, tc, false, timeToLive).Write(header);
        new LabelStackEntry(FlowLabel(flowLabel), tc, false, timeToLive).Write(header[4..]);
        new LabelStackEntry(backward, tc, true, timeToLive).Write(header[8..]);
        header[12] = (byte)type;
    }

    /// <summary>Pushes the header of a neighbour-local packet.</summary>
    internal static void PushNeighbour(PacketBuffer packet, PayloadType type)
    {
        var header = packet.Prepend(LabelStackEntry.Bytes + 1);
        new LabelStackEntry(Label.Neighbour, (byte)TrafficClass.Control, true, 1).Write(header);
        header[4] = (byte)type;
    }

    /// <summary>Any 32 bits as a flow label that is no reserved label (RFC 6391 §2).</summary>
    internal static Label FlowLabel(uint value)
    {
        var label = value & Label.Max;
        return new Label(label < FirstUnreservedLabel ? label + FirstUnreservedLabel : label);
    }

    internal static LabelStackEntry At(ReadOnlySpan<byte> packet, int index) => LabelStackEntry.Read(packet[(index * LabelStackEntry.Bytes)..]);

    internal static TrafficClass ClassOf(LabelStackEntry entry) =>
        entry.TrafficClass <= (byte)TrafficClass.Control ? (TrafficClass)entry.TrafficClass : TrafficClass.Bulk;
}
