using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Florete.Bus;

/// <summary>Types of frames; docs/protocols/bus.md.</summary>
internal enum BusFrameType : byte
{
    Hello = 1,
    Queue = 2,
    Ready = 3,
    Message = 4,
    Ack = 5,
    Ping = 6,
    Pong = 7,
    Close = 8,
}

/// <summary>A queue as a receiver tells of it.</summary>
internal sealed record QueueFrame(ushort Number, bool IsPresent, bool IsTemporary, ushort Window, string Name, IReadOnlyList<string> Topics)
{
    public static QueueFrame Gone(ushort number) => new(number, false, false, 0, "", []);
}

internal readonly record struct MessageFrame(
    ushort Queue, ulong Sequence, ulong Settled, ushort Attempt, uint LifeMilliseconds, Guid Id, ReadOnlyMemory<byte> Headers, ReadOnlyMemory<byte> Body);

internal readonly record struct AckFrame(ushort Queue, ulong Sequence, DeliveryOutcome Outcome, string Sentence);

/// <summary>Writes whole frames. What is written is within the limits; the callers see to it.</summary>
internal static class BusFrameWriter
{
    public const byte Version = 1;

    public static ReadOnlySpan<byte> Magic => "FBUS"u8;

    public static void Hello(IBufferWriter<byte> output, Guid incarnation)
    {
        var body = Begin(output, BusFrameType.Hello, 22);
        Magic.CopyTo(body);
        body[4] = Version;
        body[5] = 0;
        incarnation.TryWriteBytes(body[6..]);
    }

    public static void Queue(IBufferWriter<byte> output, QueueFrame queue)
    {
        if (!queue.IsPresent)
        {
            var gone = Begin(output, BusFrameType.Queue, 3);
            BinaryPrimitives.WriteUInt16BigEndian(gone, queue.Number);
            gone[2] = 0;
            return;
        }
        var name = Encoding.UTF8.GetBytes(queue.Name);
        var topics = queue.Topics.Select(Encoding.UTF8.GetBytes).ToList();
        var body = Begin(output, BusFrameType.Queue, 9 + name.Length + topics.Sum(static t => 2 + t.Length));
        BinaryPrimitives.WriteUInt16BigEndian(body, queue.Number);
        body[2] = 1;
        body[3] = queue.IsTemporary ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(body[4..], queue.Window);
        body[6] = (byte)name.Length;
        name.CopyTo(body[7..]);
        body = body[(7 + name.Length)..];
        BinaryPrimitives.WriteUInt16BigEndian(body, (ushort)topics.Count);
        body = body[2..];
        foreach (var topic in topics)
        {
            BinaryPrimitives.WriteUInt16BigEndian(body, (ushort)topic.Length);
            topic.CopyTo(body[2..]);
            body = body[(2 + topic.Length)..];
        }
    }

    public static void Message(IBufferWriter<byte> output, in MessageFrame message)
    {
        var body = Begin(output, BusFrameType.Message, MessageHeaderBytes + message.Headers.Length + message.Body.Length);
        BinaryPrimitives.WriteUInt16BigEndian(body, message.Queue);
        BinaryPrimitives.WriteUInt64BigEndian(body[2..], message.Sequence);
        BinaryPrimitives.WriteUInt64BigEndian(body[10..], message.Settled);
        BinaryPrimitives.WriteUInt16BigEndian(body[18..], message.Attempt);
        BinaryPrimitives.WriteUInt32BigEndian(body[20..], message.LifeMilliseconds);
        message.Id.TryWriteBytes(body[24..]);
        BinaryPrimitives.WriteInt32BigEndian(body[40..], message.Headers.Length);
        message.Headers.Span.CopyTo(body[MessageHeaderBytes..]);
        message.Body.Span.CopyTo(body[(MessageHeaderBytes + message.Headers.Length)..]);
    }

    public static void Ack(IBufferWriter<byte> output, in AckFrame ack)
    {
        var sentence = Sentence(ack.Sentence);
        var body = Begin(output, BusFrameType.Ack, 13 + sentence.Length);
        BinaryPrimitives.WriteUInt16BigEndian(body, ack.Queue);
        BinaryPrimitives.WriteUInt64BigEndian(body[2..], ack.Sequence);
        body[10] = (byte)ack.Outcome;
        BinaryPrimitives.WriteUInt16BigEndian(body[11..], (ushort)sentence.Length);
        sentence.CopyTo(body[13..]);
    }

    public static void Close(IBufferWriter<byte> output, string why)
    {
        var sentence = Sentence(why);
        var body = Begin(output, BusFrameType.Close, 2 + sentence.Length);
        BinaryPrimitives.WriteUInt16BigEndian(body, (ushort)sentence.Length);
        sentence.CopyTo(body[2..]);
    }

    /// <summary>READY, PING, PONG.</summary>
    public static void Bare(IBufferWriter<byte> output, BusFrameType type) => Begin(output, type, 0);

    internal const int MessageHeaderBytes = 44;

    private static byte[] Sentence(string text)
    {
        // Texts go into the peer's log; it refuses control characters, which exceptions may have.
        var bytes = Encoding.UTF8.GetBytes(string.Create(text.Length, text, static (to, from) =>
        {
            for (var i = 0; i < to.Length; i++) to[i] = char.IsControl(from[i]) ? ' ' : from[i];
        }));
        if (bytes.Length <= BusLimits.MaxSentenceBytes) return bytes;
        // Cut between characters, never inside one.
        var end = BusLimits.MaxSentenceBytes;
        while ((bytes[end] & 0xC0) == 0x80) end--;
        return bytes[..end];
    }

    private static Span<byte> Begin(IBufferWriter<byte> output, BusFrameType type, int bodyBytes)
    {
        var frame = output.GetSpan(5 + bodyBytes)[..(5 + bodyBytes)];
        BinaryPrimitives.WriteInt32BigEndian(frame, 1 + bodyBytes);
        frame[4] = (byte)type;
        output.Advance(frame.Length);
        return frame[5..];
    }
}
