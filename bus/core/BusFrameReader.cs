using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Florete.Bus;

/// <summary>Parses bodies of frames. Never throws; false: malformed, or beyond the limits.</summary>
internal static class BusFrameReader
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // What a connection begins with: the length of HELLO, which later versions may have longer, its type and the magic.
    private const int BeginningBytes = 9;

    /// <summary>Is it a sender's beginning?</summary>
    public static Portals.Recognition Recognize(ReadOnlySpan<byte> first)
    {
        ReadOnlySpan<byte> beginning = [0, 0, 0, 0, (byte)BusFrameType.Hello, .. BusFrameWriter.Magic];
        for (var i = 0; i < Math.Min(first.Length, BeginningBytes); i++)
        {
            if (i != 3 && first[i] != beginning[i]) return Portals.Recognition.No;
        }
        return first.Length < BeginningBytes ? Portals.Recognition.Perhaps : Portals.Recognition.Yes;
    }

    /// <param name="body">Of HELLO.</param>
    /// <param name="version">The peer's; the rest is only meaningful in a version that we speak.</param>
    /// <param name="incarnation">Names the peer's start.</param>
    public static bool TryReadHello(ReadOnlySpan<byte> body, out byte version, out Guid incarnation)
    {
        (version, incarnation) = (0, default);
        if (body.Length < 5 || !body.StartsWith(BusFrameWriter.Magic)) return false;
        version = body[4];
        if (version != BusFrameWriter.Version) return true;
        if (body.Length < 22) return false;
        incarnation = new Guid(body.Slice(6, 16));
        return true;
    }

    public static bool TryReadQueue(ReadOnlySpan<byte> body, [NotNullWhen(true)] out QueueFrame? queue)
    {
        queue = null;
        if (body.Length < 3 || body[2] > 1) return false;
        var number = BinaryPrimitives.ReadUInt16BigEndian(body);
        if (body[2] == 0)
        {
            queue = QueueFrame.Gone(number);
            return body.Length == 3;
        }
        if (body.Length < 7 || body[3] > 1) return false;
        var isTemporary = body[3] == 1;
        var window = BinaryPrimitives.ReadUInt16BigEndian(body[4..]);
        if (window is 0 or > BusLimits.MaxWindow) return false;
        int nameBytes = body[6];
        body = body[7..];
        if (nameBytes == 0 || body.Length < nameBytes + 2 || !TryReadText(body[..nameBytes], out var name)) return false;
        var count = BinaryPrimitives.ReadUInt16BigEndian(body[nameBytes..]);
        body = body[(nameBytes + 2)..];
        if (count > BusLimits.MaxTopics || body.Length < 3 * count) return false;
        var topics = new string[count];
        for (var i = 0; i < count; i++)
        {
            if (!TryReadString(ref body, BusLimits.MaxTopicBytes, out var topic) || topic.Length == 0) return false;
            topics[i] = topic;
        }
        queue = new QueueFrame(number, true, isTemporary, window, name, topics);
        return body.IsEmpty;
    }

    /// <summary>Headers and body are slices of what is given; who keeps them copies them.</summary>
    public static bool TryReadMessage(ReadOnlyMemory<byte> frame, out MessageFrame message)
    {
        message = default;
        var body = frame.Span;
        if (body.Length < BusFrameWriter.MessageHeaderBytes) return false;
        var headerBytes = BinaryPrimitives.ReadUInt32BigEndian(body[40..]);
        var rest = frame[BusFrameWriter.MessageHeaderBytes..];
        if (headerBytes > BusLimits.MaxHeaderBytes || headerBytes > rest.Length || rest.Length - headerBytes > BusLimits.MaxMessageBytes) return false;
        message = new MessageFrame(
            BinaryPrimitives.ReadUInt16BigEndian(body),
            BinaryPrimitives.ReadUInt64BigEndian(body[2..]),
            BinaryPrimitives.ReadUInt64BigEndian(body[10..]),
            BinaryPrimitives.ReadUInt16BigEndian(body[18..]),
            BinaryPrimitives.ReadUInt32BigEndian(body[20..]),
            new Guid(body.Slice(24, 16)),
            rest[..(int)headerBytes],
            rest[(int)headerBytes..]);
        return message.Settled < message.Sequence;
    }

    public static bool TryReadAck(ReadOnlySpan<byte> body, out AckFrame ack)
    {
        ack = default;
        if (body.Length < 13 || body[10] > (byte)DeliveryOutcome.Returned) return false;
        var (queue, sequence, outcome) = (BinaryPrimitives.ReadUInt16BigEndian(body), BinaryPrimitives.ReadUInt64BigEndian(body[2..]), (DeliveryOutcome)body[10]);
        body = body[11..];
        if (!TryReadString(ref body, BusLimits.MaxSentenceBytes, out var sentence)) return false;
        ack = new AckFrame(queue, sequence, outcome, sentence);
        return body.IsEmpty;
    }

    public static bool TryReadClose(ReadOnlySpan<byte> body, [NotNullWhen(true)] out string? why) =>
        TryReadString(ref body, BusLimits.MaxSentenceBytes, out why) && body.IsEmpty;

    private static bool TryReadString(ref ReadOnlySpan<byte> body, int most, [NotNullWhen(true)] out string? text)
    {
        text = null;
        if (body.Length < 2) return false;
        var length = BinaryPrimitives.ReadUInt16BigEndian(body);
        if (length > most || body.Length < 2 + length || !TryReadText(body.Slice(2, length), out text)) return false;
        body = body[(2 + length)..];
        return true;
    }

    // Texts go into logs: no control characters.
    private static bool TryReadText(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out string? text)
    {
        text = null;
        if (!System.Text.Unicode.Utf8.IsValid(bytes)) return false;
        text = Strict.GetString(bytes);
        foreach (var c in text)
        {
            if (char.IsControl(c)) return false;
        }
        return true;
    }
}
