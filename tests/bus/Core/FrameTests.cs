using System.Buffers;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Bus.Tests.Core;

/// <summary>Frames are read as they were written, and nothing else is.</summary>
public class FrameTests
{
    [Fact]
    public void Messages_are_read_as_they_were_written()
    {
        var check = Prop.ForAll<(ushort Queue, ulong Sequence, ushort Attempt), (uint Life, byte[] Headers, byte[] Body)>(static (numbers, rest) =>
        {
            var sequence = Math.Max(1, numbers.Sequence);
            var written = new MessageFrame(numbers.Queue, sequence, sequence / 2, numbers.Attempt, rest.Life, Guid.NewGuid(), rest.Headers ?? [], rest.Body ?? []);
            var (type, body) = Single(output => BusFrameWriter.Message(output, written));
            return type == BusFrameType.Message && BusFrameReader.TryReadMessage(body, out var read)
                && read with { Headers = default, Body = default } == written with { Headers = default, Body = default }
                && read.Headers.Span.SequenceEqual(written.Headers.Span) && read.Body.Span.SequenceEqual(written.Body.Span);
        });
        Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Queues_are_read_as_they_were_written()
    {
        var check = Prop.ForAll<(ushort Number, bool IsTemporary, ushort Window), (NonEmptyString Name, NonEmptyString[] Topics)>(static (numbers, names) =>
        {
            var topics = (names.Topics ?? []).Take(BusLimits.MaxTopics).Select(static t => Clean(t.Get)).ToArray();
            var written = new QueueFrame(numbers.Number, true, numbers.IsTemporary, (ushort)(1 + (numbers.Window % BusLimits.MaxWindow)), Clean(names.Name.Get), topics);
            var (type, body) = Single(output => BusFrameWriter.Queue(output, written));
            return type == BusFrameType.Queue && BusFrameReader.TryReadQueue(body.Span, out var read)
                && read with { Topics = written.Topics } == written && read.Topics.SequenceEqual(topics);
        });
        Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Withdrawals_acknowledgements_greetings_and_farewells_are_read_as_they_were_written()
    {
        var check = Prop.ForAll<ushort, ulong, string>(static (queue, sequence, text) =>
        {
            var (incarnation, sentence) = (Guid.NewGuid(), text ?? "");
            var written = new AckFrame(queue, sequence, (DeliveryOutcome)(sequence % 3), sentence);
            var ack = Single(output => BusFrameWriter.Ack(output, written)).Body;
            var gone = Single(output => BusFrameWriter.Queue(output, QueueFrame.Gone(queue))).Body;
            var hello = Single(output => BusFrameWriter.Hello(output, incarnation)).Body;
            var close = Single(output => BusFrameWriter.Close(output, sentence)).Body;
            return BusFrameReader.TryReadAck(ack.Span, out var read) && read with { Sentence = "" } == written with { Sentence = "" } && IsSame(read.Sentence, sentence)
                && BusFrameReader.TryReadQueue(gone.Span, out var withdrawn) && withdrawn is { IsPresent: false } && withdrawn.Number == queue
                && BusFrameReader.TryReadHello(hello.Span, out var version, out var who) && version == BusFrameWriter.Version && who == incarnation
                && BusFrameReader.TryReadClose(close.Span, out var why) && IsSame(why, sentence);
        });
        Check.QuickThrowOnFailure(check);

        // Control characters do not travel, and what is no text is replaced.
        static bool IsSame(string read, string written) => read.Length == written.Length || written.Any(char.IsSurrogate);
    }

    [Fact]
    public void A_long_sentence_is_cut_between_characters()
    {
        var body = Single(output => BusFrameWriter.Close(output, new string('é', 5000))).Body;
        Assert.True(BusFrameReader.TryReadClose(body.Span, out var why));
        Assert.Equal(new string('é', BusLimits.MaxSentenceBytes / 2), why);
    }

    [Fact]
    public void Frames_come_whole_however_the_stream_is_cut()
    {
        var check = Prop.ForAll<byte[][], int>(static (bodies, seed) =>
        {
            var output = new ArrayBufferWriter<byte>();
            var messages = (bodies ?? []).Select(static b => b ?? []).ToList();
            foreach (var body in messages) BusFrameWriter.Message(output, new MessageFrame(1, 1, 0, 0, 0, Guid.Empty, default, body));
            var (assembler, random, read) = (new FrameAssembler(), new Random(seed), new List<byte[]>());
            for (var at = 0; at < output.WrittenCount;)
            {
                var size = Math.Min(1 + random.Next(60), output.WrittenCount - at);
                assembler.Append(new ReadOnlySequence<byte>(output.WrittenMemory.Slice(at, size)));
                at += size;
                while (assembler.TryTake(out _, out var body, out _))
                {
                    if (!BusFrameReader.TryReadMessage(body, out var message)) return false;
                    read.Add(message.Body.ToArray());
                }
            }
            return read.Count == messages.Count && read.Zip(messages).All(static p => p.First.SequenceEqual(p.Second));
        });
        Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_and_nothing_is_beyond_the_limits()
    {
        var check = Prop.ForAll<byte[]>(static bytes => Reads(bytes ?? []));
        Check.QuickThrowOnFailure(check);
        var random = new Random(1);
        foreach (var good in Good())
        {
            for (var length = 0; length < good.Length; length++) Assert.True(Reads(good[..length]));
            for (var i = 0; i < 2000; i++)
            {
                var bad = good.ToArray();
                for (var flips = 1 + random.Next(3); flips > 0; flips--) bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
                Assert.True(Reads(bad));
            }
        }
    }

    [Fact]
    public void A_length_that_no_frame_has_is_seen_before_anything_is_kept()
    {
        foreach (var length in new uint[] { 0, BusLimits.MaxFrameBytes + 1, int.MaxValue, uint.MaxValue })
        {
            var assembler = new FrameAssembler();
            assembler.Append(new ReadOnlySequence<byte>([(byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length, 4]));
            Assert.False(assembler.TryTake(out _, out _, out var isBroken));
            Assert.True(isBroken);
        }
    }

    private static bool Reads(byte[] bytes)
    {
        if (BusFrameReader.TryReadMessage(bytes, out var message) && (message.Headers.Length > BusLimits.MaxHeaderBytes || message.Body.Length > BusLimits.MaxMessageBytes)) return false;
        if (BusFrameReader.TryReadQueue(bytes, out var queue) && queue.IsPresent)
        {
            if (queue.Window is 0 or > BusLimits.MaxWindow || queue.Topics.Count > BusLimits.MaxTopics || queue.Name.Length is 0 or > BusLimits.MaxQueueNameBytes) return false;
            if (queue.Name.Any(char.IsControl) || queue.Topics.Any(static t => t.Any(char.IsControl))) return false;
        }
        if (BusFrameReader.TryReadAck(bytes, out var ack) && (!Enum.IsDefined(ack.Outcome) || ack.Sentence.Any(char.IsControl))) return false;
        _ = BusFrameReader.TryReadHello(bytes, out _, out _);
        _ = BusFrameReader.TryReadClose(bytes, out _);
        return true;
    }

    private static IEnumerable<byte[]> Good()
    {
        yield return Single(static output => BusFrameWriter.Hello(output, Guid.NewGuid())).Body.ToArray();
        yield return Single(static output => BusFrameWriter.Queue(output, new QueueFrame(3, true, false, 16, "orders", ["urn:message:Order", "urn:message:IHasNumber"]))).Body.ToArray();
        yield return Single(static output => BusFrameWriter.Message(output, new MessageFrame(3, 9, 8, 1, 0, Guid.NewGuid(), "{}"u8.ToArray(), "hello"u8.ToArray()))).Body.ToArray();
        yield return Single(static output => BusFrameWriter.Ack(output, new AckFrame(3, 9, DeliveryOutcome.Faulted, "sold out"))).Body.ToArray();
    }

    private static (BusFrameType Type, ReadOnlyMemory<byte> Body) Single(Action<IBufferWriter<byte>> write)
    {
        var output = new ArrayBufferWriter<byte>();
        write(output);
        var assembler = new FrameAssembler();
        assembler.Append(new ReadOnlySequence<byte>(output.WrittenMemory));
        Assert.True(assembler.TryTake(out var type, out var body, out _));
        Assert.False(assembler.TryTake(out _, out _, out _));
        return (type, body);
    }

    // Names are text: no control characters, no halves of characters.
    private static string Clean(string text)
    {
        var clean = new string([.. text.Where(static c => !char.IsControl(c) && !char.IsSurrogate(c)).Take(60)]);
        return clean.Length == 0 ? "x" : Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(clean));
    }
}
