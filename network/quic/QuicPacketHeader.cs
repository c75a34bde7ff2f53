using Florete.Quic.Native;

namespace Florete.Quic;

/// <summary>What can be read of a packet without keys (RFC 8999), plus the token of an Initial (RFC 9000 § 17.2.2). Spans point into the packet.</summary>
public readonly ref struct QuicPacketHeader
{
    private const int MaxIdBytes = 20;
    private const byte InitialType = 0x00;

    public bool IsLong { get; private init; }

    /// <summary>An Initial of version 1: may begin a connection.</summary>
    public bool IsInitial { get; private init; }

    /// <summary>0 in short headers and in version negotiation.</summary>
    public uint Version { get; private init; }

    /// <summary>Version 1, or a short header.</summary>
    public bool IsSupportedVersion => !IsLong || Version == Ngtcp2.ProtocolVersion1;

    public ReadOnlySpan<byte> DestinationId { get; private init; }

    /// <summary>Empty in short headers.</summary>
    public ReadOnlySpan<byte> SourceId { get; private init; }

    /// <summary>The token of an Initial; empty if none.</summary>
    public ReadOnlySpan<byte> Token { get; private init; }

    /// <summary>Under which the connection is found.</summary>
    public ConnectionId Destination => ConnectionId.From(DestinationId);

    /// <summary>False: not a QUIC packet of version 1, nor one that deserves a version negotiation (IDs above 20 bytes).</summary>
    public static bool TryParse(ReadOnlySpan<byte> packet, int shortCidLength, out QuicPacketHeader header)
    {
        header = default;
        if (packet.IsEmpty) return false;
        if ((packet[0] & 0x80) == 0)
        {
            if (packet.Length < 1 + shortCidLength) return false;
            header = new QuicPacketHeader { DestinationId = packet.Slice(1, shortCidLength) };
            return true;
        }
        if (packet.Length < 7) return false;
        var version = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(packet[1..]);
        var rest = packet[5..];
        if (!TakeId(ref rest, out var dcid) || !TakeId(ref rest, out var scid)) return false;
        var initial = version == Ngtcp2.ProtocolVersion1 && (packet[0] & 0x70) == (0x40 | InitialType);
        ReadOnlySpan<byte> token = default;
        if (initial && !TakeToken(ref rest, out token)) return false;
        header = new QuicPacketHeader { IsLong = true, IsInitial = initial, Version = version, DestinationId = dcid, SourceId = scid, Token = token };
        return true;
    }

    /// <summary>
    /// Writes the answer to a long header of another version (RFC 9000 § 6): version 1 is spoken here. Returns its length; 0 where none may be sent
    /// (version negotiation itself, packets below 1200 bytes). 64 bytes hold it.
    /// </summary>
    public static unsafe int WriteVersionNegotiation(scoped QuicPacketHeader header, int packetBytes, Span<byte> destination)
    {
        if (!header.IsLong || header.Version == 0 || header.IsSupportedVersion || packetBytes < QuicOptions.LeastPacketBytes) return 0;
        var versions = stackalloc uint[1] { Ngtcp2.ProtocolVersion1 };
        fixed (byte* data = destination, dcid = header.SourceId, scid = header.DestinationId)
        {
            var written = Ngtcp2.WriteVersionNegotiation(
                data, (nuint)destination.Length, (byte)Random.Shared.Next(256), dcid, (nuint)header.SourceId.Length, scid,
                (nuint)header.DestinationId.Length, versions, 1);
            return (int)Math.Max(0, written);
        }
    }

    private static bool TakeId(scoped ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> id)
    {
        id = default;
        if (rest.IsEmpty || rest[0] > MaxIdBytes || rest.Length < 1 + rest[0]) return false;
        id = rest.Slice(1, rest[0]);
        rest = rest[(1 + id.Length)..];
        return true;
    }

    private static bool TakeToken(scoped ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> token)
    {
        token = default;
        if (rest.IsEmpty) return false;
        var size = 1 << (rest[0] >> 6); // variable-length integer, RFC 9000 § 16
        if (rest.Length < size) return false;
        ulong length = rest[0] & 0x3FU;
        for (var i = 1; i < size; i++) length = (length << 8) | rest[i];
        rest = rest[size..];
        if (length > (ulong)rest.Length) return false;
        token = rest[..(int)length];
        rest = rest[(int)length..];
        return true;
    }
}
