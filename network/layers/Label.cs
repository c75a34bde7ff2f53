using System.Buffers.Binary;

namespace Florete.Layers;

/// <summary>A 20-bit MPLS label (RFC 3032 §2.1). 0–15 are reserved, then come labels local to one vertex, then node segments.</summary>
public readonly record struct Label(uint Value)
{
    public const uint Max = (1 << 20) - 1;

    /// <summary>Generic Associated Channel Label (RFC 5586): a packet between neighbours, never forwarded.</summary>
    public static readonly Label Neighbour = new(13);

    /// <summary>Adjacency segments: meaningful at the vertex that advertises them only.</summary>
    public static readonly LabelRange Adjacencies = new(16, 4095);

    /// <summary>Node segments: meaningful in the whole layer.</summary>
    public static readonly LabelRange Nodes = new(4096, Max);

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>An inclusive range of labels.</summary>
public readonly record struct LabelRange(uint First, uint Last)
{
    public int Count => (int)(Last - First + 1);

    public bool Contains(Label label) => label.Value >= First && label.Value <= Last;
}

/// <summary>One label stack entry, 32 bits: label 20, TC 3, S 1, TTL 8 (RFC 3032 §2.1, RFC 5462).</summary>
public readonly record struct LabelStackEntry(Label Label, byte TrafficClass, bool IsBottom, byte TimeToLive)
{
    public const int Bytes = 4;

    /// <summary>Reads the entry at the front of <paramref name="source"/>, which has at least 4 bytes.</summary>
    public static LabelStackEntry Read(ReadOnlySpan<byte> source)
    {
        var word = BinaryPrimitives.ReadUInt32BigEndian(source);
        return new LabelStackEntry(new Label(word >> 12), (byte)((word >> 9) & 7), (word & 0x100) != 0, (byte)word);
    }

    public void Write(Span<byte> destination) => BinaryPrimitives.WriteUInt32BigEndian(
        destination, (Label.Value << 12) | ((uint)(TrafficClass & 7) << 9) | (IsBottom ? 0x100u : 0) | TimeToLive);
}

/// <summary>What follows the label stack of a layer's packet; one byte.</summary>
public enum PayloadType : byte
{
    /// <summary>One QUIC packet (or coalesced ones) of the transport endpoint.</summary>
    Quic = 1,

    /// <summary>One datagram under keys that a QUIC connection delivered.</summary>
    SealedDatagram = 2,

    /// <summary>Operations and maintenance: echo, time exceeded (<c>flor trace</c>).</summary>
    Oam = 3,

    /// <summary>Directory messages between neighbours.</summary>
    Directory = 4,
}

/// <summary>Sizes of a layer's packets, in bytes (docs/architecture.md "Sizes").</summary>
public static class LayerSizes
{
    /// <summary>The stack without segments to pass: destination, flow label, backward segment; and the payload type.</summary>
    public const int BaseHeaderBytes = (3 * LabelStackEntry.Bytes) + 1;

    /// <summary>Segments that ingress and repair may push in all, the destination's included.</summary>
    public const int MaxSegments = 6;

    /// <summary>The largest header: six segments, flow label, backward segment, payload type.</summary>
    public const int MaxHeaderBytes = ((MaxSegments + 2) * LabelStackEntry.Bytes) + 1;

    /// <summary>The largest payload on a link with SDUs of 17 160 bytes: with the base header and a 16-byte tag it is 12 × 1430.</summary>
    public const int LargePayloadBytes = 17_131;

    /// <summary>Payloads that a connection grows to, one after another, if its path carries them.</summary>
    public static IReadOnlyList<int> PayloadSteps { get; } = [SmallPayloadBytes, 4 * SmallPayloadBytes, 8 * SmallPayloadBytes, LargePayloadBytes];

    /// <summary>A payload that fits one segment of a 1500-byte medium with every header.</summary>
    public const int SmallPayloadBytes = 1376;

    /// <summary>Initial time to live of a label stack; more hops than any layer of 1 000 vertices should need.</summary>
    public const byte InitialTimeToLive = 64;
}
