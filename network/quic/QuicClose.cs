namespace Florete.Quic;

/// <summary>The life of a connection.</summary>
public enum QuicConnectionState
{
    /// <summary>Not yet proved on both sides: no streams.</summary>
    Handshaking,

    /// <summary>Both sides have accepted each other's certificate.</summary>
    Confirmed,

    /// <summary>Over; see <see cref="QuicConnection.CloseReason"/>. Packets that say so may still be written.</summary>
    Closed,
}

/// <summary>Why a connection ended.</summary>
/// <param name="Reason">A text for people.</param>
/// <param name="Code">The QUIC transport error code, or the application's if <paramref name="IsApplication"/>. 0x100 + n is TLS alert n.</param>
/// <param name="IsApplication">Closed by <see cref="QuicConnection.Close"/> of either side.</param>
/// <param name="IsRemote">The peer closed it.</param>
/// <param name="Exception">What a handler threw, if that ended the connection.</param>
public sealed record QuicClose(string Reason, ulong Code, bool IsApplication, bool IsRemote, Exception? Exception = null);

/// <summary>
/// Figures of a connection now. <c>LostStreamFrames</c> counts losses of packets, once for every stream that had data in them (ngtcp2 1.11 tells
/// no other count).
/// </summary>
public readonly record struct QuicStatistics(
    TimeSpan SmoothedRoundTrip,
    TimeSpan MinRoundTrip,
    long CongestionWindowBytes,
    long BytesInFlight,
    long PacketsSent,
    long PacketsReceived,
    long BytesSent,
    long BytesReceived,
    long LostStreamFrames);
