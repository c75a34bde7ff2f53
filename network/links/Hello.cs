using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;

namespace Florete.Links;

/// <summary>The first message of either side on the control stream (docs/protocols/link-udp.md "Handshake").</summary>
internal sealed record Hello
{
    public const ushort ProtocolVersion = 1;
    public const int MaxCandidates = 8;
    public const int ClusterHashBytes = 32;

    private const ushort VersionTlv = 0x8001, FeaturesTlv = 0x0002, ClusterTlv = 0x8003, IndexTlv = 0x8004, ObservedTlv = 0x0005,
        CandidateTlv = 0x0006, RunTlv = 0x8007, RenewsTlv = 0x8008, BegunTlv = 0x0009;

    public ulong Features { get; init; }

    /// <summary>Hash of cluster name and root; see <see cref="HashOf"/>.</summary>
    public required byte[] ClusterHash { get; init; }

    /// <summary>Put it into segments to the sender of this Hello. Not 0.</summary>
    public required uint LinkIndex { get; init; }

    /// <summary>Random per start of the vertex.</summary>
    public required ulong Run { get; init; }

    /// <summary>
    /// How many links the sender had begun in this run, the one of an answer included. A Hello that was on its way while the other handshake of a
    /// simultaneous dial made a link counts fewer than that link's answer: by it a late Hello is told from one that begins anew.
    /// </summary>
    public ulong Begun { get; init; }

    /// <summary>The receiver's index of the link that this handshake renews; null: a new link.</summary>
    public uint? Renews { get; init; }

    /// <summary>The receiver's address as its peer sees it.</summary>
    public UdpAddress? Observed { get; init; }

    /// <summary>Where the sender may be reached too.</summary>
    public IReadOnlyList<UdpAddress> Candidates { get; init; } = [];

    public static byte[] HashOf(ClusterIdentity cluster) => SHA256.HashData([.. Encoding.UTF8.GetBytes(cluster.Name), 0, .. cluster.RootHashBytes()]);

    public int Write(Span<byte> destination)
    {
        var at = 0;
        Span<byte> value = stackalloc byte[UdpAddress.Bytes];
        BinaryPrimitives.WriteUInt16BigEndian(value, ProtocolVersion);
        Put(destination, ref at, VersionTlv, value[..2]);
        BinaryPrimitives.WriteUInt64BigEndian(value, Features);
        Put(destination, ref at, FeaturesTlv, value[..8]);
        Put(destination, ref at, ClusterTlv, ClusterHash);
        BinaryPrimitives.WriteUInt32BigEndian(value, LinkIndex);
        Put(destination, ref at, IndexTlv, value[..4]);
        BinaryPrimitives.WriteUInt64BigEndian(value, Run);
        Put(destination, ref at, RunTlv, value[..8]);
        BinaryPrimitives.WriteUInt64BigEndian(value, Begun);
        Put(destination, ref at, BegunTlv, value[..8]);
        if (Renews is { } renews)
        {
            BinaryPrimitives.WriteUInt32BigEndian(value, renews);
            Put(destination, ref at, RenewsTlv, value[..4]);
        }
        if (Observed is { } observed)
        {
            observed.Write(value);
            Put(destination, ref at, ObservedTlv, value);
        }
        foreach (var candidate in Candidates.Take(MaxCandidates))
        {
            candidate.Write(value);
            Put(destination, ref at, CandidateTlv, value);
        }
        return at;
    }

    public static bool TryRead(ReadOnlySpan<byte> body, [NotNullWhen(true)] out Hello? hello, out string error)
    {
        hello = null;
        ushort version = 0;
        ulong features = 0, run = 0, begun = 0;
        uint index = 0;
        uint? renews = null;
        byte[]? cluster = null;
        UdpAddress? observed = null;
        List<UdpAddress> candidates = [];
        while (!body.IsEmpty)
        {
            if (body.Length < 4) return Fail("a TLV is cut short", out error);
            var type = BinaryPrimitives.ReadUInt16BigEndian(body);
            var length = BinaryPrimitives.ReadUInt16BigEndian(body[2..]);
            if (body.Length < 4 + length) return Fail($"TLV 0x{type:x4} is cut short", out error);
            var value = body.Slice(4, length);
            body = body[(4 + length)..];
            var isRight = type switch
            {
                VersionTlv => length == 2,
                FeaturesTlv or RunTlv or BegunTlv => length == 8,
                ClusterTlv => length == ClusterHashBytes,
                IndexTlv or RenewsTlv => length == 4,
                ObservedTlv or CandidateTlv => length == UdpAddress.Bytes,
                _ => (type & 0x8000) == 0,
            };
            if (!isRight) return Fail($"TLV 0x{type:x4} is unknown and critical, or has a wrong length ({length})", out error);
            switch (type)
            {
                case VersionTlv: version = BinaryPrimitives.ReadUInt16BigEndian(value); break;
                case FeaturesTlv: features = BinaryPrimitives.ReadUInt64BigEndian(value); break;
                case RunTlv: run = BinaryPrimitives.ReadUInt64BigEndian(value); break;
                case ClusterTlv: cluster = value.ToArray(); break;
                case IndexTlv: index = BinaryPrimitives.ReadUInt32BigEndian(value); break;
                case BegunTlv: begun = BinaryPrimitives.ReadUInt64BigEndian(value); break;
                case RenewsTlv: renews = BinaryPrimitives.ReadUInt32BigEndian(value); break;
                case ObservedTlv when UdpAddress.TryRead(value, out var address): observed = address; break;
                case CandidateTlv when candidates.Count < MaxCandidates && UdpAddress.TryRead(value, out var address): candidates.Add(address); break;
            }
        }
        if (version != ProtocolVersion) return Fail($"protocol version {version}; this program speaks {ProtocolVersion}: update the older side", out error);
        if (cluster is null || index == 0) return Fail("cluster or link index is missing", out error);
        hello = new Hello
        {
            Features = features,
            ClusterHash = cluster,
            LinkIndex = index,
            Run = run,
            Begun = begun,
            Renews = renews,
            Observed = observed,
            Candidates = candidates,
        };
        error = "";
        return true;
    }

    private static void Put(Span<byte> destination, ref int at, ushort type, ReadOnlySpan<byte> value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination[at..], type);
        BinaryPrimitives.WriteUInt16BigEndian(destination[(at + 2)..], (ushort)value.Length);
        value.CopyTo(destination[(at + 4)..]);
        at += 4 + value.Length;
    }

    private static bool Fail(string what, out string error)
    {
        error = $"The neighbour's Hello is wrong: {what}.";
        return false;
    }
}
