using System.Buffers;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Bus;

/// <summary>
/// The sender's side of one connection. No I/O: bytes that arrived go in by <see cref="Receive"/>, bytes to send come out of <see cref="Output"/>.
/// A violation of the protocol ends it: <see cref="Failure"/> says why, and what is in the output (CLOSE) may still be sent.
/// </summary>
internal sealed class SenderSession
{
    // Messages go into the output while it is shorter; the rest waits where it can still change its mind.
    private const int OutputTarget = 256 << 10;

    private readonly Sender sender;
    private readonly FrameAssembler assembler = new();
    private readonly Dictionary<ushort, QueueFrame> queues = [];
    private readonly List<HeldQueue> assigned = [];
    private Instant heardAt;
    private bool isPinged;
    private long unacknowledged;
    private uint turn;

    internal SenderSession(Sender sender, SpiffeId? remote, SpiffeId? vertex, bool isLocal, Instant now)
    {
        (this.sender, Remote, Vertex, IsLocal, heardAt) = (sender, remote, vertex, isLocal, now);
        BusFrameWriter.Hello(Output, sender.Incarnation);
    }

    /// <summary>The receiver's proved identity; null: this member.</summary>
    public SpiffeId? Remote { get; }

    public SpiffeId? Vertex { get; }

    /// <summary>It leads to the queues of this member itself.</summary>
    public bool IsLocal { get; }

    /// <summary>The receiver's start; null: it has not said HELLO yet.</summary>
    public Guid? Incarnation { get; private set; }

    /// <summary>The connection led back to the member that opened it.</summary>
    public bool IsSelf => !IsLocal && Incarnation == sender.Incarnation;

    /// <summary>All queues of the receiver are known.</summary>
    public bool IsReady { get; private set; }

    public string? Failure { get; private set; }

    /// <summary>Bytes for the peer.</summary>
    public SessionOutput Output { get; } = new();

    public IEnumerable<QueueFrame> Queues => queues.Values;

    internal Instant NextDue => Failure is not null ? Instant.Never : heardAt + (isPinged ? BusLimits.SilenceLimit : BusLimits.PingAfter);

    /// <summary>Takes all of what arrived.</summary>
    public void Receive(in ReadOnlySequence<byte> received, Instant now)
    {
        if (Failure is not null) return;
        (heardAt, isPinged) = (now, false);
        assembler.Append(received);
        while (Failure is null)
        {
            if (Output.WrittenCount > SessionOutput.MaxBytes) Fail("The peer sends, and does not read.");
            if (!assembler.TryTake(out var type, out var body, out var isBroken))
            {
                if (isBroken) Fail("A frame has a length that no frame has.");
                return;
            }
            if (Incarnation is null && type is not (BusFrameType.Hello or BusFrameType.Close)) Fail("The first frame is not HELLO; does a bus listen at this identity?");
            else Take(type, body.Span, now);
        }
    }

    /// <summary>Writes messages into the output as far as windows allow.</summary>
    public void Fill(Instant now)
    {
        if (Failure is not null) return;
        var idle = 0;
        while (assigned.Count > 0 && idle < assigned.Count && Output.WrittenCount < OutputTarget)
        {
            var queue = assigned[(int)(turn++ % (uint)assigned.Count)];
            if (queue.Peek() is not { } message)
            {
                idle++;
            }
            else if (message.ExpiresAt <= now)
            {
                sender.Expire(queue, message);
                idle = 0;
            }
            else if (unacknowledged > 0 && unacknowledged + message.Message.Cost > BusLimits.MaxUnacknowledgedBytes)
            {
                // The next ones in turn wait too, or a large message would wait for ever.
                turn--;
                return;
            }
            else
            {
                Write(queue, message, now);
                idle = 0;
            }
        }
    }

    public void Advance(Instant now)
    {
        if (Failure is not null || NextDue > now) return;
        if (isPinged)
        {
            Fail($"Nothing was heard for {BusLimits.SilenceLimit.TotalSeconds:0} s.");
            return;
        }
        isPinged = true;
        BusFrameWriter.Bare(Output, BusFrameType.Ping);
    }

    internal void Assign(HeldQueue queue, QueueFrame frame)
    {
        queue.Attach(this, frame.Number, frame.Window);
        assigned.Add(queue);
        sender.Freed?.Invoke();
    }

    internal void Unassign(HeldQueue queue) => assigned.Remove(queue);

    /// <summary>The queues that go through here, which nobody else may have until they are detached.</summary>
    internal IReadOnlyList<HeldQueue> Assigned => assigned;

    private void Write(HeldQueue queue, HeldMessage message, Instant now)
    {
        queue.MarkSent(message);
        unacknowledged += message.Message.Cost;
        var life = message.ExpiresAt == Instant.Never ? 0 : (uint)Math.Clamp((message.ExpiresAt - now).TotalMilliseconds, 1, uint.MaxValue);
        BusFrameWriter.Message(Output, new MessageFrame(
            queue.Number, message.Sequence, queue.Settled, (ushort)Math.Min(message.Attempts - 1, ushort.MaxValue), life, message.Message.Id, message.Message.Headers, message.Message.Body));
    }

    private void Take(BusFrameType type, ReadOnlySpan<byte> body, Instant now)
    {
        switch (type)
        {
            case BusFrameType.Hello when Incarnation is null && BusFrameReader.TryReadHello(body, out var version, out var incarnation):
                if (version == BusFrameWriter.Version) Incarnation = incarnation;
                // It leads back here, and there is a shorter way.
                if (IsSelf) Failure = "It is this member itself.";
                else if (version != BusFrameWriter.Version) Fail($"The peer speaks version {version} of the bus, this program version {BusFrameWriter.Version}; use the newer of both.");
                break;
            case BusFrameType.Queue when BusFrameReader.TryReadQueue(body, out var queue):
                Take(queue, now);
                break;
            case BusFrameType.Ready when body.IsEmpty:
                IsReady = true;
                break;
            case BusFrameType.Ack when BusFrameReader.TryReadAck(body, out var ack):
                Take(ack, now);
                break;
            case BusFrameType.Pong when body.IsEmpty:
                break;
            case BusFrameType.Close when BusFrameReader.TryReadClose(body, out var why):
                Failure = $"The peer closed: {why}";
                break;
            default:
                Fail($"A frame of type {(byte)type} is malformed, or has no place here.");
                break;
        }
    }

    private void Take(QueueFrame frame, Instant now)
    {
        var isKnown = queues.TryGetValue(frame.Number, out var known);
        if (!frame.IsPresent)
        {
            if (!isKnown) return;
            queues.Remove(frame.Number);
            sender.OnWithdrawn(this, known!, now);
            return;
        }
        if (isKnown ? known!.Name != frame.Name : queues.Count >= BusLimits.MaxQueues || queues.Values.Any(q => q.Name == frame.Name))
        {
            Fail($"Queue '{frame.Name}' is told of twice, under another name, or is one too many.");
            return;
        }
        queues[frame.Number] = frame;
        sender.OnAnnounced(this, frame, now);
    }

    private void Take(AckFrame ack, Instant now)
    {
        foreach (var queue in assigned)
        {
            if (queue.Number != ack.Queue || queue.TakeSent(ack.Sequence) is not { } message) continue;
            unacknowledged -= message.Message.Cost;
            sender.OnAnswered(this, queue, message, ack, now);
            return;
        }
        Fail($"Message {ack.Sequence} is acknowledged, which was not sent.");
    }

    private void Fail(string why)
    {
        if (Failure is not null) return;
        Failure = why;
        BusFrameWriter.Close(Output, why);
    }
}
