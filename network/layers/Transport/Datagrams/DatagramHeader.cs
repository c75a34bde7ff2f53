using System.Buffers.Binary;
using Florete.Sealing;

namespace Florete.Layers;

/// <summary>Header of a sealed datagram, 16 bytes (docs/protocols/transport.md "Datagrams"); also its associated data.</summary>
/// <param name="Index">The connection, as the receiver calls it; not 0.</param>
/// <param name="Epoch">Epoch of the sending key.</param>
/// <param name="Counter">Lane (the traffic class) and sequence.</param>
internal readonly record struct DatagramHeader(uint Index, byte Epoch, PacketCounter Counter)
{
    public const int Bytes = 16;

    /// <summary>What a datagram needs besides its own bytes.</summary>
    public const int OverheadBytes = Bytes + Sealer.TagBytes;

    private const int CounterOffset = 8;

    /// <summary>False: no sealed datagram, whoever sent it.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, out DatagramHeader header)
    {
        header = default;
        if (packet.Length < OverheadBytes) return false;
        var index = BinaryPrimitives.ReadUInt32BigEndian(packet);
        if (index == 0 || packet[5] != 0 || packet[6] != 0 || packet[7] != 0) return false;
        header = new DatagramHeader(index, packet[4], new PacketCounter(BinaryPrimitives.ReadUInt64BigEndian(packet[CounterOffset..])));
        return true;
    }

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, Index);
        // Epoch and three zeros.
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)Epoch << 24);
        BinaryPrimitives.WriteUInt64BigEndian(destination[CounterOffset..], Counter.Value);
    }
}
