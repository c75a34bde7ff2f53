using System.Buffers;
using Florete.Runtime;

namespace Florete.Bus;

/// <summary>The receiver's side of one connection. No I/O; as <see cref="SenderSession"/>.</summary>
internal sealed class ReceiverSession
{
    private readonly Receiver receiver;
    private readonly FrameAssembler assembler = new();
    private readonly Dictionary<ushort, int> unacknowledged = [];
    private readonly HashSet<BusDelivery> deliveries = [];
    private long unacknowledgedBytes;
    private bool hasHello;

    internal ReceiverSession(Receiver receiver, BusSender sender)
    {
        (this.receiver, Sender) = (receiver, sender);
        BusFrameWriter.Hello(Output, receiver.Incarnation);
    }

    /// <summary>The sender, proved.</summary>
    public BusSender Sender { get; }

    public Guid Incarnation { get; private set; }

    public string? Failure { get; private set; }

    /// <summary>Bytes for the peer.</summary>
    public SessionOutput Output { get; } = new();

    /// <summary>Takes all of what arrived.</summary>
    public void Receive(in ReadOnlySequence<byte> received, Instant now)
    {
        if (Failure is not null) return;
        assembler.Append(received);
        while (Failure is null)
        {
            if (Output.WrittenCount > SessionOutput.MaxBytes) Fail("The peer sends, and does not read.");
            if (!assembler.TryTake(out var type, out var body, out var isBroken))
            {
                if (isBroken) Fail("A frame has a length that no frame has.");
                return;
            }
            if (!hasHello && type is not (BusFrameType.Hello or BusFrameType.Close)) Fail("The first frame is not HELLO; this identity is a bus.");
            else Take(type, body, now);
        }
    }

    internal void Tell(QueueFrame queue)
    {
        if (hasHello && Failure is null) BusFrameWriter.Queue(Output, queue);
    }

    /// <summary>What has come here and is not answered for.</summary>
    internal IReadOnlyCollection<BusDelivery> Deliveries => deliveries;

    /// <summary>The same message has come by another connection, which will be answered.</summary>
    internal void Release(BusDelivery delivery) => deliveries.Remove(delivery);

    internal void Acknowledge(BusDelivery delivery, DeliveryOutcome outcome, string sentence)
    {
        deliveries.Remove(delivery);
        unacknowledgedBytes -= delivery.Message.Cost;
        unacknowledged[delivery.Number]--;
        Answer(delivery.Number, delivery.Sequence, outcome, sentence);
    }

    /// <summary>Ends the session in order: the peer is told why.</summary>
    internal void Fail(string why)
    {
        if (Failure is not null) return;
        Failure = why;
        BusFrameWriter.Close(Output, why);
    }

    private void Answer(ushort queue, ulong sequence, DeliveryOutcome outcome, string sentence)
    {
        if (Failure is null) BusFrameWriter.Ack(Output, new AckFrame(queue, sequence, outcome, sentence));
    }

    private void Take(BusFrameType type, ReadOnlyMemory<byte> body, Instant now)
    {
        switch (type)
        {
            case BusFrameType.Hello when !hasHello && BusFrameReader.TryReadHello(body.Span, out var version, out var incarnation):
                if (version != BusFrameWriter.Version)
                {
                    Fail($"The peer speaks version {version} of the bus, this program version {BusFrameWriter.Version}; use the newer of both.");
                    return;
                }
                (hasHello, Incarnation) = (true, incarnation);
                foreach (var queue in receiver.Queues) Tell(queue.Frame);
                BusFrameWriter.Bare(Output, BusFrameType.Ready);
                break;
            case BusFrameType.Message when BusFrameReader.TryReadMessage(body, out var message):
                Take(message, now);
                break;
            case BusFrameType.Ping when body.IsEmpty:
                BusFrameWriter.Bare(Output, BusFrameType.Pong);
                break;
            case BusFrameType.Close when BusFrameReader.TryReadClose(body.Span, out var why):
                Failure = $"The peer closed: {why}";
                break;
            default:
                Fail($"A frame of type {(byte)type} is malformed, or has no place here.");
                break;
        }
    }

    private void Take(in MessageFrame frame, Instant now)
    {
        if (receiver.FindQueue(frame.Queue) is not { IsWithdrawn: false } queue)
        {
            // Withdrawn while it was on its way; numbers of queues are never used again.
            if (receiver.HasHadQueue(frame.Queue)) Answer(frame.Queue, frame.Sequence, DeliveryOutcome.Returned, "The queue is withdrawn.");
            else Fail($"Queue {frame.Queue} was never told of.");
            return;
        }
        var cost = frame.Headers.Length + frame.Body.Length + BusLimits.MessageOverheadBytes;
        var count = unacknowledged.GetValueOrDefault(frame.Queue);
        if (count >= queue.Window || (unacknowledgedBytes > 0 && unacknowledgedBytes + cost > BusLimits.MaxUnacknowledgedBytes))
        {
            Fail($"More than the window of queue '{queue.Name}' was sent.");
            return;
        }
        if (receiver.Arrive(this, queue, frame, now) is not { } delivery)
        {
            Answer(frame.Queue, frame.Sequence, DeliveryOutcome.Completed, "");
            return;
        }
        if (delivery.Session == this)
        {
            Fail($"Message {frame.Sequence} was sent twice on one connection.");
            return;
        }
        delivery.Session?.Release(delivery);
        delivery.Session = this;
        deliveries.Add(delivery);
        unacknowledged[frame.Queue] = count + 1;
        unacknowledgedBytes += delivery.Message.Cost;
    }
}
