using System.Buffers.Binary;
using Florete.Sealing;

namespace Florete.Links;

/// <summary>Header of a sealed segment, 20 bytes (docs/protocols/link-udp.md "Segment").</summary>
/// <param name="Epoch">Epoch of the sending key.</param>
/// <param name="Index">Place of the segment in its SDU, from 0.</param>
/// <param name="Count">Segments of the SDU, 1 to 16.</param>
/// <param name="Padding">Bytes of zeros at the end of the last segment; less than <paramref name="Count"/>.</param>
/// <param name="LinkIndex">The link, as its receiver calls it.</param>
/// <param name="Counter">Counter of the SDU.</param>
/// <param name="Salt">Random, the same in all segments of the SDU.</param>
internal readonly record struct SegmentHeader(
    byte Epoch, int Index, int Count, int Padding, uint LinkIndex, PacketCounter Counter, uint Salt)
{
    public const int Bytes = 20;
    public const byte Kind = 0x20;
    private const int PlaceOffset = 2;

    public static bool IsQuic(byte first) => first >= 0x40;

    public static bool TryRead(ReadOnlySpan<byte> datagram, out SegmentHeader header)
    {
        header = default;
        if (datagram.Length <= Bytes || datagram[0] != Kind || datagram[3] > 15) return false;
        var index = datagram[PlaceOffset] >> 4;
        var count = (datagram[PlaceOffset] & 15) + 1;
        int padding = datagram[3];
        if (index >= count || padding >= count) return false;
        header = new SegmentHeader(
            datagram[1], index, count, padding,
            BinaryPrimitives.ReadUInt32BigEndian(datagram[4..]),
            new PacketCounter(BinaryPrimitives.ReadUInt64BigEndian(datagram[8..])),
            BinaryPrimitives.ReadUInt32BigEndian(datagram[16..]));
        return true;
    }

    public void Write(Span<byte> destination)
    {
        destination[0] = Kind;
        destination[1] = Epoch;
        WritePlace(destination, Index, Count);
        destination[3] = (byte)Padding;
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], LinkIndex);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Counter.Value);
        BinaryPrimitives.WriteUInt32BigEndian(destination[16..], Salt);
    }

    public static void WritePlace(Span<byte> header, int index, int count) => header[PlaceOffset] = (byte)((index << 4) | (count - 1));
}

/// <summary>
/// How a sealed SDU is cut: <see cref="Count"/> segments of <see cref="Size"/> bytes, of which the last <see cref="Padding"/> are zeros, so that
/// all datagrams of a flow of equal SDUs are equal and share batches.
/// </summary>
internal readonly record struct SegmentCut(int Count, int Size, int Padding)
{
    public int PaddedBytes => Count * Size;

    public int TotalBytes => PaddedBytes - Padding;

    /// <param name="totalBytes">The sealed SDU.</param>
    /// <param name="mostBytes">What one segment can carry.</param>
    public static SegmentCut Of(int totalBytes, int mostBytes)
    {
        var count = (totalBytes + mostBytes - 1) / mostBytes;
        var size = (totalBytes + count - 1) / count;
        return new SegmentCut(count, size, (count * size) - totalBytes);
    }

    /// <summary>What a received segment says about its SDU; false when that is impossible.</summary>
    public static bool TryRead(in SegmentHeader header, int payloadBytes, out SegmentCut cut)
    {
        cut = new SegmentCut(header.Count, payloadBytes, header.Padding);
        return cut.TotalBytes is >= Sealer.TagBytes and <= LinkSizes.MaxSealedBytes;
    }
}
