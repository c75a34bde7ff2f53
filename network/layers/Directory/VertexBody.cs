using System.Buffers.Binary;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>The body of a vertex record: the claimed node segment, the adjacencies as the vertex itself sees them, and its candidacy if it has one.</summary>
internal sealed record VertexBody(ushort SegmentIndex, IReadOnlyList<TopologyAdjacency> Adjacencies, Candidacy? Candidacy = null)
{
    private const byte CandidacyType = 1;
    private const int CandidacyBytes = 1 + 2 + Layers.Candidacy.Bytes;
    private const int AdjacencyFixedBytes = 1 + 4 + 4 + 4 + 8;

    /// <summary>Encodes; adjacencies beyond the limit of count or size are left out, so the caller passes the ones that matter first.</summary>
    public byte[] Encode(int maxBytes)
    {
        var buffer = new byte[maxBytes];
        BinaryPrimitives.WriteUInt16BigEndian(buffer, SegmentIndex);
        var (at, count) = (4, 0);
        var room = maxBytes - (Candidacy is null ? 0 : CandidacyBytes);
        foreach (var adjacency in Adjacencies)
        {
            var name = adjacency.Neighbour.Name;
            if (count == DirectoryLimits.MaxAdjacencies || room - at < AdjacencyFixedBytes + name.Length) break;
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
        if (Candidacy is not { } candidacy) return buffer[..at];
        buffer[at] = CandidacyType;
        BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(at + 1), Layers.Candidacy.Bytes);
        candidacy.Write(buffer.AsSpan(at + 3));
        return buffer[..(at + CandidacyBytes)];
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
        if (!TryReadCandidacy(rest, out var candidacy)) return false;
        decoded = new VertexBody(index, adjacencies, candidacy);
        return true;
    }

    /// <summary>True if the rest of a body is TLVs of which none is critical: of services version 1 knows none.</summary>
    public static bool AreSkippable(ReadOnlySpan<byte> rest)
    {
        while (!rest.IsEmpty)
        {
            if (!TryTakeTlv(ref rest, out _, out _)) return false;
        }
        return true;
    }

    // Wrong in its one known TLV, the whole record is: what a vertex says of itself is believed as a whole or not at all.
    private static bool TryReadCandidacy(ReadOnlySpan<byte> rest, out Candidacy? candidacy)
    {
        candidacy = null;
        while (!rest.IsEmpty)
        {
            if (!TryTakeTlv(ref rest, out var type, out var value)) return false;
            if (type != CandidacyType) continue;
            if (candidacy is not null || !Layers.Candidacy.TryRead(value, out var read)) return false;
            candidacy = read;
        }
        return true;
    }

    /// <summary>False: it does not end where it should, or is critical; no such type is known.</summary>
    private static bool TryTakeTlv(ref ReadOnlySpan<byte> rest, out byte type, out ReadOnlySpan<byte> value)
    {
        type = 0;
        value = default;
        if (rest.Length < 3 || (rest[0] & 0x80) != 0) return false;
        var length = BinaryPrimitives.ReadUInt16BigEndian(rest[1..]);
        if (rest.Length < 3 + length) return false;
        type = rest[0];
        value = rest.Slice(3, length);
        rest = rest[(3 + length)..];
        return true;
    }

    private static bool TryReadVertex(ReadOnlySpan<byte> name, string cluster, out SpiffeId? vertex)
    {
        vertex = null;
        if (name.Length is 0 or > 63) return false;
        return SpiffeId.TryParse($"spiffe://{cluster}/vertex/{Encoding.Latin1.GetString(name)}", out vertex, out _);
    }
}
