using System.Buffers.Binary;

namespace Florete.Quic;

/// <summary>A connection ID of this side: always 8 bytes, here in network order as a number.</summary>
public readonly record struct ConnectionId(ulong Value)
{
    /// <summary>Length of the IDs of this side; pass it where a packet header is parsed.</summary>
    public const int Bytes = 8;

    /// <summary>
    /// The key under which a connection is found. IDs of 8 bytes map to themselves; the IDs of other lengths that a client may choose for its
    /// first packets are folded (FNV-1a). Two that collide cost the later one its handshake, nothing else.
    /// </summary>
    public static ConnectionId From(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == Bytes) return new(BinaryPrimitives.ReadUInt64BigEndian(bytes));
        var hash = 14695981039346656037UL;
        foreach (var b in bytes) hash = (hash ^ b) * 1099511628211UL;
        return new(hash);
    }

    public override string ToString() => Value.ToString("x16", System.Globalization.CultureInfo.InvariantCulture);
}
