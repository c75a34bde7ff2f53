using Florete.Runtime;

namespace Florete.Bus;

/// <summary>A message on its way through a receiver.</summary>
public sealed class BusDelivery
{
    internal BusDelivery(ReceiverQueue queue, SenderMemory memory, in MessageFrame frame, Instant now)
    {
        (Queue, Memory, Sender, Sequence, Attempt) = (queue, memory, memory.Sender, frame.Sequence, frame.Attempt);
        var bytes = new byte[frame.Headers.Length + frame.Body.Length];
        frame.Headers.CopyTo(bytes);
        frame.Body.CopyTo(bytes.AsMemory(frame.Headers.Length));
        Message = new BusMessage(frame.Id, bytes.AsMemory(0, frame.Headers.Length), bytes.AsMemory(frame.Headers.Length));
        ExpiresAt = frame.LifeMilliseconds == 0 ? Instant.Never : now + TimeSpan.FromMilliseconds(frame.LifeMilliseconds);
    }

    public BusMessage Message { get; }

    /// <summary>Who sent it.</summary>
    public BusSender Sender { get; internal set; }

    /// <summary>The sender's number for it: ascending, and unique for one start of the sender.</summary>
    public ulong Sequence { get; }

    /// <summary>How often it has been sent before; above 0 it may have been consumed already, by a receiver that died.</summary>
    public int Attempt { get; }

    internal ReceiverQueue Queue { get; }

    internal SenderMemory Memory { get; }

    /// <summary>Where its acknowledgement goes; null: that connection is gone.</summary>
    internal ReceiverSession? Session { get; set; }

    internal ushort Number => Queue.Number;

    internal Instant ExpiresAt { get; }

    internal LinkedListNode<BusDelivery>? Waiting { get; set; }
}
