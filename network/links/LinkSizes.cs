using Florete.Sealing;

namespace Florete.Links;

/// <summary>Sizes of the link <c>udp</c>, in bytes (docs/protocols/link-udp.md).</summary>
public static class LinkSizes
{
    /// <summary>Largest SDU: a layer's large payload under its largest header (17 164), and some room.</summary>
    public const int MaxSduBytes = 17_184;

    /// <summary>Most segments of an SDU.</summary>
    public const int MaxSegments = 16;

    /// <summary>Datagrams that every path must carry (RFC 9000 §14); the size before the path is measured.</summary>
    public const int BaseDatagramBytes = 1200;

    /// <summary>Largest UDP payload in 1500 bytes over IPv6 (40 + 8) and over IPv4 (20 + 8).</summary>
    public const int DatagramBytesIPv6 = 1452, DatagramBytesIPv4 = 1472;

    /// <summary>Largest sealed SDU.</summary>
    public const int MaxSealedBytes = MaxSduBytes + Sealer.TagBytes;

    /// <summary>SDU that fits one segment of a path that carries datagrams of <paramref name="datagramBytes"/>.</summary>
    public static int UnsegmentedSdu(int datagramBytes) => datagramBytes - SegmentHeader.Bytes - Sealer.TagBytes;
}
