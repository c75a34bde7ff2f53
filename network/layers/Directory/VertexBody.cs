using System.Buffers.Binary;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>The body of a vertex record: the claimed node segment and the adjacencies as the vertex itself sees them.</summary>
internal sealed record VertexBody(ushort SegmentIndex, IReadOnlyList<TopologyAdjacency> Adjacencies)
{
    private const int AdjacencyFixedBytes = 1 + 4 + 4 + 4 + 8;

    /// <summary>Encodes; adjacencies beyond the limit of count or size are left out, so the caller passes the ones that matter first.</summary>
    public byte[] Encode(int maxBytes)
    {
        var buffer = new byte[maxBytes];
        BinaryPrimitives.WriteUInt16BigEndian(buffer, SegmentIndex);
        var (at, count) = (4, 0);
        foreach (var adjacency in Adjacencies)
        {
            var name = adjacency.Neighbour.Name;
            if (count == DirectoryLimits.MaxAdjacencies || maxBytes - at < AdjacencyFixedBytes + name.Length) break;
            buffer[at++] = (byte)name.Length;
            at += Encoding.ASCII.GetBytes(name, buffer.AsSpan(at));
            BinaryPrimitives.WriteUInt32BigEndian(buffer.AsSpan(at), adjacency.Segment.Value);
            BinaryPrimitives.WriteUInt32BigEndian(buffer.AsSpan(at + 4), adjacency.MetricMicroseconds);
            BinaryPrimitives.WriteUInt32BigEndian(buffer.AsSpan(at + 8), adjacency.LossPartsPerMillion);
            BinaryPrimitives.WriteUInt64BigEndian(buffer.AsSpan(at + 12), adjacency.CapacityBitsPerSecond);
            at += 20;
            count++;
        }
        BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(2), (ushort)count);
        return buffer[..at];
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, string cluster, out VertexBody? decoded)
    {
        decoded = null;
        if (body.Length < 4) return false;
        var index = BinaryPrimitives.ReadUInt16BigEndian(body);
        var count = BinaryPrimitives.ReadUInt16BigEndian(body[2..]);
        if (count > DirectoryLimits.MaxAdjacencies || body.Length - 4 < count * (AdjacencyFixedBytes + 1)) return false;
        var adjacencies = new TopologyAdjacency[count];
        var rest = body[4..];
        for (var i = 0; i < count; i++)
        {
            if (rest.IsEmpty || rest.Length < AdjacencyFixedBytes + rest[0]) return false;
            if (!TryReadVertex(rest.Slice(1, rest[0]), cluster, out var neighbour)) return false;
            rest = rest[(1 + rest[0])..];
            var segment = new Label(BinaryPrimitives.ReadUInt32BigEndian(rest));
            var metric = BinaryPrimitives.ReadUInt32BigEndian(rest[4..]);
            if (!Label.Adjacencies.Contains(segment) || metric == 0) return false;
            adjacencies[i] = new TopologyAdjacency(
                neighbour!, segment, metric, BinaryPrimitives.ReadUInt32BigEndian(rest[8..]), BinaryPrimitives.ReadUInt64BigEndian(rest[12..]));
            rest = rest[20..];
        }
        if (!AreSkippable(rest)) return false;
        decoded = new VertexBody(index, adjacencies);
        return true;
    }

    /// <summary>True if the rest of a body is TLVs of which none is critical: version 1 knows none.</summary>
    public static bool AreSkippable(ReadOnlySpan<byte> rest)
    {
        while (!rest.IsEmpty)
        {
            if (rest.Length < 3 || (rest[0] & 0x80) != 0) return false;
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest[1..]);
            if (rest.Length < 3 + length) return false;
            rest = rest[(3 + length)..];
        }
        return true;
    }

    private static bool TryReadVertex(ReadOnlySpan<byte> name, string cluster, out SpiffeId? vertex)
    {
        vertex = null;
        if (name.Length is 0 or > 63) return false;
        return SpiffeId.TryParse($"spiffe://{cluster}/vertex/{Encoding.Latin1.GetString(name)}", out vertex, out _);
    }
}
