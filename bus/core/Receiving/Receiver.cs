using Florete.Runtime;

namespace Florete.Bus;

/// <summary>
/// The receiving half of a member: its queues, the connections of senders, what has come and is not answered for. No I/O, clock, lock or thread; one caller at a time.
/// </summary>
internal sealed class Receiver(Guid incarnation)
{
    private readonly record struct MemoryKey(BusSender Sender, Guid Incarnation, string Queue);

    private readonly Dictionary<ushort, ReceiverQueue> queues = [];
    private readonly List<ReceiverSession> sessions = [];
    private readonly Dictionary<MemoryKey, SenderMemory> memories = [];
    private int lastNumber;

    public Guid Incarnation => incarnation;

    public IEnumerable<ReceiverQueue> Queues => queues.Values.Where(static q => !q.IsWithdrawn);

    public IReadOnlyList<ReceiverSession> Sessions => sessions;

    /// <summary>Of messages that wait or are being consumed.</summary>
    public long Bytes { get; private set; }

    public int MemoryCount => memories.Count;

    /// <summary>A message came again and was told by its number; it was not delivered again.</summary>
    public Action<BusSender>? DuplicateSeen { get; set; }

    /// <exception cref="BusException">The name is taken, or a limit is reached.</exception>
    public ReceiverQueue Add(string name, bool isTemporary, int window, IReadOnlyList<string> topics)
    {
        if (Queues.Any(q => q.Name == name)) throw new BusException($"This member receives at queue '{name}' already; give one of the two another name.");
        if (Queues.Count() >= BusLimits.MaxQueues) throw new BusException($"This member has {BusLimits.MaxQueues} queues, the limit; queue '{name}' is one too many.");
        if (lastNumber == ushort.MaxValue) throw new BusException($"This member has had {ushort.MaxValue} queues since it started; start it again.");
        var queue = new ReceiverQueue((ushort)++lastNumber, name, isTemporary, (ushort)Math.Clamp(window, 1, BusLimits.MaxWindow), topics);
        queues.Add(queue.Number, queue);
        foreach (var session in sessions) session.Tell(queue.Frame);
        return queue;
    }

    /// <summary>The queue takes no more: what waits is returned to its senders, what is being consumed is still answered for.</summary>
    public void Withdraw(ReceiverQueue queue)
    {
        if (queue.IsWithdrawn) return;
        queue.IsWithdrawn = true;
        queues.Remove(queue.Number);
        foreach (var session in sessions) session.Tell(QueueFrame.Gone(queue.Number));
        foreach (var delivery in queue.Waiting)
        {
            queue.Remove(delivery);
            Finish(delivery, DeliveryOutcome.Returned, "The queue is withdrawn.");
        }
    }

    public ReceiverSession Open(BusSender sender)
    {
        var session = new ReceiverSession(this, sender);
        sessions.Add(session);
        return session;
    }

    /// <summary>
    /// The connection has ended. What waits is forgotten, for it comes again, in order; what is being consumed goes on, and is told by its number when it comes again.
    /// </summary>
    public void Close(ReceiverSession session)
    {
        if (!sessions.Remove(session)) return;
        foreach (var delivery in session.Deliveries)
        {
            delivery.Session = null;
            if (delivery.Waiting is null) continue;
            delivery.Queue.Remove(delivery);
            Forget(delivery);
        }
    }

    /// <summary>The next message of a queue, which its taker answers for by <see cref="Finish"/>.</summary>
    public BusDelivery? Take(ReceiverQueue queue, Instant now)
    {
        while (queue.Take() is { } delivery)
        {
            if (delivery.ExpiresAt > now) return delivery;
            Finish(delivery, DeliveryOutcome.Completed, "Its time is over.");
        }
        return null;
    }

    public void Finish(BusDelivery delivery, DeliveryOutcome outcome, string sentence)
    {
        if (!Forget(delivery)) return;
        if (outcome == DeliveryOutcome.Completed) delivery.Memory.Complete(delivery.Sequence);
        delivery.Session?.Acknowledge(delivery, outcome, sentence);
        delivery.Session = null;
    }

    internal ReceiverQueue? FindQueue(ushort number) => queues.GetValueOrDefault(number);

    internal bool HasHadQueue(ushort number) => number > 0 && number <= lastNumber;

    /// <summary>The delivery that the frame begins, or that it repeats; null: it was completed before.</summary>
    internal BusDelivery? Arrive(ReceiverSession session, ReceiverQueue queue, in MessageFrame frame, Instant now)
    {
        var memory = Remember(new MemoryKey(session.Sender, session.Incarnation, queue.Name), now);
        memory.Settle(frame.Settled);
        if (memory.IsCompleted(frame.Sequence))
        {
            DuplicateSeen?.Invoke(session.Sender);
            return null;
        }
        if (memory.Open.TryGetValue(frame.Sequence, out var open))
        {
            DuplicateSeen?.Invoke(session.Sender);
            return open;
        }
        var delivery = new BusDelivery(queue, memory, frame, now);
        memory.Open.Add(frame.Sequence, delivery);
        Bytes += delivery.Message.Cost;
        queue.Add(delivery);
        return delivery;
    }

    private bool Forget(BusDelivery delivery)
    {
        if (!delivery.Memory.Open.TryGetValue(delivery.Sequence, out var open) || open != delivery) return false;
        delivery.Memory.Open.Remove(delivery.Sequence);
        Bytes -= delivery.Message.Cost;
        return true;
    }

    private SenderMemory Remember(MemoryKey key, Instant now)
    {
        if (memories.TryGetValue(key, out var memory))
        {
            memory.UsedAt = now;
            return memory;
        }
        if (memories.Count >= BusLimits.MaxRememberedSenders) Shrink(now);
        memory = new SenderMemory(key.Sender) { UsedAt = now };
        memories.Add(key, memory);
        return memory;
    }

    // First those that are past their time, then, if need be, the longest unused: they may show a duplicate, and lose nothing.
    private void Shrink(Instant now)
    {
        var idle = memories.Where(static m => m.Value.Open.Count == 0).OrderBy(static m => m.Value.UsedAt).ToList();
        foreach (var (key, memory) in idle.TakeWhile((m, i) => i < BusLimits.MaxRememberedSenders / 16 || m.Value.UsedAt + BusLimits.SenderMemory <= now)) memories.Remove(key);
    }
}
