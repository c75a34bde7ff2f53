using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Florete.Links;

/// <summary>Types of the sealed messages in lane 0 (docs/protocols/link-udp.md).</summary>
internal enum LinkMessageType : byte
{
    KeepAlive = 1,
    PathChallenge = 2,
    PathResponse = 3,
    MtuProbe = 4,
    MtuAnswer = 5,
    Goodbye = 6,

    /// <summary>Reserved for one-round retransmission of lost segments; not sent, ignored when received.</summary>
    Retransmit = 7,
}

/// <summary>Why a link ends; also the application code of its QUIC connection's close.</summary>
[SuppressMessage("Design", "CA1008", Justification = "0 is Orderly on the wire.")]
public enum GoodbyeReason : byte
{
    Orderly = 0,
    RefusedByAcceptor = 1,
    ForbiddenByBounds = 2,
    Duplicate = 3,
    Replaced = 4,
    Silence = 5,
    ProtocolBroken = 6,
    Limit = 7,
    SvidExpired = 8,
    SendsFail = 9,
    Flapping = 10,
    WrongCluster = 11,
    TargetFailed = 12,
}

/// <summary>A keep-alive: sign of life, round trip probe and report of what was received.</summary>
/// <param name="AnswerNow">The other side is asked to answer at once.</param>
/// <param name="IntervalMilliseconds">The longest silence that the sender intends.</param>
/// <param name="SentMicroseconds">The sender's clock.</param>
/// <param name="EchoMicroseconds">The last such time heard from the other side; 0: none.</param>
/// <param name="HeldMicroseconds">Since it was heard.</param>
/// <param name="ReceivedSegments">Since the link began.</param>
/// <param name="LostSegments">Since the link began.</param>
internal readonly record struct KeepAlive(
    bool AnswerNow, ushort IntervalMilliseconds, ulong SentMicroseconds, ulong EchoMicroseconds, uint HeldMicroseconds, ulong ReceivedSegments,
    ulong LostSegments)
{
    public const int Bytes = 40;

    public static bool TryRead(ReadOnlySpan<byte> message, out KeepAlive keepAlive)
    {
        keepAlive = default;
        if (message.Length < Bytes || message[0] != (byte)LinkMessageType.KeepAlive) return false;
        keepAlive = new KeepAlive(
            (message[1] & 1) != 0,
            BinaryPrimitives.ReadUInt16BigEndian(message[2..]),
            BinaryPrimitives.ReadUInt64BigEndian(message[4..]),
            BinaryPrimitives.ReadUInt64BigEndian(message[12..]),
            BinaryPrimitives.ReadUInt32BigEndian(message[20..]),
            BinaryPrimitives.ReadUInt64BigEndian(message[24..]),
            BinaryPrimitives.ReadUInt64BigEndian(message[32..]));
        return true;
    }

    public void Write(Span<byte> destination)
    {
        destination[0] = (byte)LinkMessageType.KeepAlive;
        destination[1] = AnswerNow ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], IntervalMilliseconds);
        BinaryPrimitives.WriteUInt64BigEndian(destination[4..], SentMicroseconds);
        BinaryPrimitives.WriteUInt64BigEndian(destination[12..], EchoMicroseconds);
        BinaryPrimitives.WriteUInt32BigEndian(destination[20..], HeldMicroseconds);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], ReceivedSegments);
        BinaryPrimitives.WriteUInt64BigEndian(destination[32..], LostSegments);
    }
}
