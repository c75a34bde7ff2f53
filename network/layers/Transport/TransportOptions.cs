using Florete.Quic;
using Florete.Sealing;

namespace Florete.Layers;

/// <summary>Limits of a transport endpoint; the defaults are those of docs/protocols/transport.md.</summary>
public sealed record TransportOptions
{
    public const string Protocol = "florete/1";

    /// <summary>QUIC connections of this vertex, both directions of opening.</summary>
    public int MaxConnections { get; init; } = 4096;

    /// <summary>Arriving connections whose handshake is not finished.</summary>
    public int MaxHandshakes { get; init; } = 256;

    /// <summary>Of these, from one vertex.</summary>
    public int MaxHandshakesPerVertex { get; init; } = 64;

    /// <summary>Streams that a caller may have open in one connection at once.</summary>
    public int MaxStreams { get; init; } = 1024;

    /// <summary>Datagram connections of this vertex; each has keys and replay windows, some 6 KB.</summary>
    public int MaxDatagramConnections { get; init; } = 4096;

    /// <summary>Of these, in one QUIC connection: a caller needs one for a target.</summary>
    public int MaxDatagramConnectionsPerPair { get; init; } = 64;

    /// <summary>When the sending key of a datagram connection is replaced.</summary>
    public RekeyLimits DatagramRekeyLimits { get; init; } = RekeyLimits.Default;

    /// <summary>Bytes of one stream that may wait for its reader at first; grows to <see cref="MaxStreamWindowBytes"/> while the reader keeps up.</summary>
    public int StreamWindowBytes { get; init; } = 128 * 1024;

    public int MaxStreamWindowBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>By how much the streams of one connection may grow their windows together; and as much again, what they may have unacknowledged.</summary>
    public int MaxWindowGrowthBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Unacknowledged bytes of one stream at which its writer waits, at least.</summary>
    public int SendLimitBytes { get; init; } = 256 * 1024;

    public int MaxSendLimitBytes { get; init; } = 8 * 1024 * 1024;

    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Silence of the peer after which a connection is lost; paths may change and nodes may be cut off for that long.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How often a connection with streams and nothing to say asks whether the peer is there.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A connection without streams closes after this time.</summary>
    public TimeSpan UnusedTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a request header, and the target's answer to it, may take.</summary>
    public TimeSpan AnswerTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a connection outlives an expired SVID that nobody vouched for: two clocks may differ.</summary>
    public TimeSpan ExpiryGrace { get; init; } = TimeSpan.FromMinutes(2);

    public QuicCongestionControl CongestionControl { get; init; } = QuicCongestionControl.Cubic;

    /// <summary>The round trip assumed until one is measured: a mesh is nearer than the Internet's 333 ms.</summary>
    public TimeSpan InitialRoundTrip { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A path with more loss than this gets small packets, whatever their connection sees.</summary>
    public double LargePacketLossLimit { get; init; } = 0.002;

    /// <summary>A connection slower than this gets small packets: a large one would occupy the slow link for a millisecond and more.</summary>
    public long LargePacketBitsPerSecond { get; init; } = 100_000_000;

    /// <exception cref="ArgumentException">A limit makes no sense.</exception>
    public void Validate()
    {
        if (MaxConnections < 1 || MaxHandshakes < 1 || MaxHandshakesPerVertex < 1 || MaxStreams < 2)
            throw new ArgumentException("Counts of connections, handshakes and streams must be positive, and a connection needs 2 streams.");
        if (MaxDatagramConnections < 0 || MaxDatagramConnectionsPerPair < 1)
            throw new ArgumentException("The count of datagram connections must not be negative, and a pair must be allowed one.");
        DatagramRekeyLimits.Validated();
        if (StreamWindowBytes < 16 * 1024 || MaxStreamWindowBytes < StreamWindowBytes)
            throw new ArgumentException("A stream's window must be at least 16 KiB, and its maximum no less than its beginning.");
        if (MaxWindowGrowthBytes < MaxStreamWindowBytes)
            throw new ArgumentException("One stream of a connection must be able to grow its window to the maximum.");
        if (SendLimitBytes < 16 * 1024 || MaxSendLimitBytes < SendLimitBytes)
            throw new ArgumentException("A stream's send limit must be at least 16 KiB, and its maximum no less than its beginning.");
        if (IdleTimeout <= KeepAlive) throw new ArgumentException("The idle timeout must be longer than the keep-alive interval.");
    }
}
