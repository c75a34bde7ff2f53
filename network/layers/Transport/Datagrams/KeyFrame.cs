using System.Buffers.Binary;
using Florete.Sealing;

namespace Florete.Layers;

/// <summary>Frames of a stream of kind 3 (docs/protocols/transport.md "Datagrams"). Parsers never throw: the bytes come from a peer.</summary>
internal static class KeyFrame
{
    public const byte Key = 0x81;
    public const byte KeyReady = 0x82;
    public const byte CriticalBit = 0x80;

    /// <summary>A whole key frame, head included.</summary>
    public const int KeyBytes = StreamHeaders.HeadBytes + KeyBodyBytes;

    private const int KeyBodyBytes = 4 + 1 + SealingKey.Bytes;

    /// <summary>Writes everything of a key frame but the key, and returns where that goes.</summary>
    public static Span<byte> WriteKeyHead(Span<byte> frame, uint index)
    {
        frame[0] = Key;
        frame[1] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(frame[2..], KeyBodyBytes);
        BinaryPrimitives.WriteUInt32BigEndian(frame[StreamHeaders.HeadBytes..], index);
        return frame[(StreamHeaders.HeadBytes + 5)..KeyBytes];
    }

    public static void WriteEpoch(Span<byte> frame, byte epoch) => frame[StreamHeaders.HeadBytes + 4] = epoch;

    /// <summary>Reads the value of a key frame; false: not well-formed. The key is the caller's to dispose.</summary>
    public static bool TryReadKey(ReadOnlySpan<byte> value, out uint index, out byte epoch, out SealingKey? key)
    {
        (index, epoch, key) = (0, 0, null);
        if (value.Length != KeyBodyBytes) return false;
        index = BinaryPrimitives.ReadUInt32BigEndian(value);
        epoch = value[4];
        return index != 0 && SealingKey.TryRead(value[5..], out key);
    }

    public static byte[] Ready(byte epoch) => StreamHeaders.Frame(KeyReady, [epoch]);
}
