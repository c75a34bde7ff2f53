namespace Florete.Quic;

/// <summary>Which congestion controller a connection runs.</summary>
public enum QuicCongestionControl
{
    Reno,
    Cubic,
    Bbr,
}

/// <summary>What both ends of a kind of connection are set to. Validated when a connection is made from it.</summary>
public sealed record QuicOptions
{
    /// <summary>The least size of a destination handed to <see cref="QuicConnection.Write"/> (RFC 9000 § 14.1).</summary>
    public const int LeastPacketBytes = 1200;

    /// <summary>The largest packet that is ever sent or accepted.</summary>
    public const int LargestPacketBytes = 65527;

    /// <summary>Application protocol, 1 to 255 ASCII characters; the peer must name the same.</summary>
    public required string Alpn { get; init; }

    /// <summary>
    /// A second protocol that a server speaks on the same port, whose clients show no certificate and are asked for none; null: there is none.
    /// <see cref="QuicConnection.IsPeerAnonymous"/> tells such a connection.
    /// </summary>
    public string? AnonymousAlpn { get; init; }

    /// <summary>Largest packet sent and accepted, in bytes, from <see cref="LeastPacketBytes"/> up.</summary>
    public int MaxPacketBytes { get; init; } = 1472;

    /// <summary>Bytes that the peer may send on one stream beyond what was consumed.</summary>
    public long StreamWindowBytes { get; init; } = 1 << 20;

    /// <summary>Bytes that the peer may send on all streams beyond what was consumed; at least <see cref="StreamWindowBytes"/>.</summary>
    public long ConnectionWindowBytes { get; init; } = 4 << 20;

    /// <summary>Bytes that one stream may hold unsent or unacknowledged; more is a fault of the writer.</summary>
    public long SendBufferBytes { get; init; } = 8 << 20;

    /// <summary>Bidirectional streams that the peer may have open at a time. Unidirectional streams are not offered.</summary>
    public int MaxPeerStreams { get; init; } = 128;

    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Silence after which the connection is given up; the lower value of both ends holds. Zero: never.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Silence after which a packet is sent that keeps the connection alive. Zero: none.</summary>
    public TimeSpan KeepAlive { get; init; }

    public QuicCongestionControl CongestionControl { get; init; } = QuicCongestionControl.Cubic;

    /// <summary>The round trip assumed until one is measured (RFC 9002 § 6.2.2).</summary>
    public TimeSpan InitialRoundTrip { get; init; } = TimeSpan.FromMilliseconds(333);

    /// <summary>
    /// Sizes above 1200 bytes, ascending, to which packets grow, each after a probe of that size has come through; sizes above
    /// <see cref="MaxPacketBytes"/> are left out, and a probe waits until it fits into the destination handed to <see cref="QuicConnection.Write"/>.
    /// Congestion control counts in packets of 1200 bytes then. Empty: every packet may fill the destination from the first on, and congestion
    /// control counts in packets of <see cref="MaxPacketBytes"/>: right only where packets really are of that size.
    /// </summary>
    public IReadOnlyList<int> ProbedPacketBytes { get; init; } = [];

    /// <summary>To probe on a link over UDP: Ethernet over IPv4 and IPv6, then with the headers of two and one tunnels taken off.</summary>
    public static IReadOnlyList<int> EthernetPacketBytes { get; } = [1392, 1444, 1452, 1472];

    /// <summary>Throws <see cref="ArgumentException"/> that names the first field out of range and its range.</summary>
    public void Validate()
    {
        if (AnonymousAlpn is not null && (AnonymousAlpn.Length is 0 or > 255 || !System.Text.Ascii.IsValid(AnonymousAlpn) || AnonymousAlpn == Alpn))
            throw Bad(nameof(AnonymousAlpn), "must have 1 to 255 ASCII characters, and be another than Alpn");
        if (Alpn.Length is 0 or > 255 || !System.Text.Ascii.IsValid(Alpn)) throw Bad(nameof(Alpn), "must have 1 to 255 ASCII characters");
        if (MaxPacketBytes is < LeastPacketBytes or > LargestPacketBytes) throw Bad(nameof(MaxPacketBytes), $"must be {LeastPacketBytes} to {LargestPacketBytes}");
        if (ProbedPacketBytes.Count > 16 || ProbedPacketBytes.Any(static s => s is <= LeastPacketBytes or > LargestPacketBytes) || !ProbedPacketBytes.Order().SequenceEqual(ProbedPacketBytes))
            throw Bad(nameof(ProbedPacketBytes), $"must be at most 16 ascending sizes above {LeastPacketBytes}, up to {LargestPacketBytes}");
        if (StreamWindowBytes is < 1 or > 1 << 30) throw Bad(nameof(StreamWindowBytes), "must be 1 byte to 1 GiB");
        if (ConnectionWindowBytes < StreamWindowBytes || ConnectionWindowBytes > 1L << 32) throw Bad(nameof(ConnectionWindowBytes), "must be at least the stream window and at most 4 GiB");
        if (SendBufferBytes is < 1 or > 1L << 32) throw Bad(nameof(SendBufferBytes), "must be 1 byte to 4 GiB");
        if (MaxPeerStreams is < 0 or > 65536) throw Bad(nameof(MaxPeerStreams), "must be 0 to 65536");
        if (HandshakeTimeout <= TimeSpan.Zero || HandshakeTimeout > TimeSpan.FromHours(1)) throw Bad(nameof(HandshakeTimeout), "must be above zero and at most an hour");
        if (IdleTimeout < TimeSpan.Zero || IdleTimeout > TimeSpan.FromDays(1)) throw Bad(nameof(IdleTimeout), "must be zero (never) or at most a day");
        if (KeepAlive < TimeSpan.Zero || KeepAlive > TimeSpan.FromDays(1)) throw Bad(nameof(KeepAlive), "must be zero (none) or at most a day");
        if (InitialRoundTrip <= TimeSpan.Zero || InitialRoundTrip > TimeSpan.FromMinutes(1)) throw Bad(nameof(InitialRoundTrip), "must be above zero and at most a minute");
        if (!Enum.IsDefined(CongestionControl)) throw Bad(nameof(CongestionControl), "must be Reno, Cubic or Bbr");
    }

    private static ArgumentException Bad(string field, string rule) => new($"{nameof(QuicOptions)}.{field} {rule}.");
}
