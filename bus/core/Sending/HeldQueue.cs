using Florete.Runtime;

namespace Florete.Bus;

/// <summary>A message that the sender holds.</summary>
internal sealed class HeldMessage(BusMessage message, Instant expiresAt, Instant dueAt)
{
    public BusMessage Message => message;

    /// <summary>The end of its life.</summary>
    public Instant ExpiresAt => expiresAt;

    /// <summary>Not to be sent before.</summary>
    public Instant DueAt { get; set; } = dueAt;

    /// <summary>0: it waits for its time, and has no number yet.</summary>
    public ulong Sequence { get; set; }

    /// <summary>How often it has been sent.</summary>
    public int Attempts { get; set; }

    /// <summary>How often a receiver said that it faulted.</summary>
    public int Faults { get; set; }
}

/// <summary>
/// What a sender holds for one destination, in the order of its numbers. A message is in one of four places: waiting for its time, ready, sent, or gone. No I/O, no clock.
/// </summary>
internal sealed class HeldQueue(BusDestination destination, Numbers numbers, Instant now)
{
    private readonly PriorityQueue<HeldMessage, long> delayed = new();
    private readonly SortedDictionary<ulong, HeldMessage> ready = [];
    private readonly SortedDictionary<ulong, HeldMessage> sent = [];
    private readonly SortedSet<ulong> unsettled = [];
    private int expiring;
    private Instant scanAt = Instant.Never;

    public BusDestination Destination => destination;

    /// <summary>Where its messages go now.</summary>
    public SenderSession? Session { get; private set; }

    /// <summary>The session takes no more, and has not answered for all that it has.</summary>
    public bool IsDraining { get; set; }

    public ushort Number { get; private set; }

    public int Window { get; set; }

    /// <summary>Since when nobody receives; Never: somebody does.</summary>
    public Instant AbsentSince { get; private set; } = now;

    public int Count { get; private set; }

    public long Bytes { get; private set; }

    public int SentCount => sent.Count;

    /// <summary>No number up to this one will be sent again.</summary>
    public ulong Settled => unsettled.Count == 0 ? numbers.Last : unsettled.Min - 1;

    public IEnumerable<HeldMessage> Messages => sent.Values.Concat(ready.Values).Concat(delayed.UnorderedItems.Select(static i => i.Element));

    public void Add(HeldMessage message, Instant now)
    {
        Count++;
        Bytes += message.Message.Cost;
        if (message.ExpiresAt != Instant.Never) expiring++;
        if (message.DueAt > now) delayed.Enqueue(message, message.DueAt.Nanoseconds);
        else MakeReady(message);
        PlanScan(now);
    }

    /// <summary>Somebody receives here.</summary>
    public void Attach(SenderSession session, ushort number, int window)
    {
        (Session, Number, Window, IsDraining) = (session, number, window, false);
        AbsentSince = Instant.Never;
    }

    /// <summary>Nobody does any more: what is not answered for is to be sent again, in order.</summary>
    public void Detach(Instant now)
    {
        foreach (var (sequence, message) in sent) ready.Add(sequence, message);
        sent.Clear();
        (Session, IsDraining, AbsentSince) = (null, false, now);
        PlanScan(now);
    }

    /// <summary>The next one to send, if the window has room; it stays in place until <see cref="MarkSent"/>.</summary>
    public HeldMessage? Peek()
    {
        if (IsDraining || sent.Count >= Window || ready.Count == 0) return null;
        // The first of a sorted dictionary, without LINQ.
        foreach (var (_, message) in ready) return message;
        return null;
    }

    public void MarkSent(HeldMessage message)
    {
        ready.Remove(message.Sequence);
        sent.Add(message.Sequence, message);
        message.Attempts++;
    }

    /// <summary>The oldest that can be dropped.</summary>
    public HeldMessage? OldestReady => ready.Values.FirstOrDefault();

    /// <summary>What was sent under this number and is not answered for yet.</summary>
    public HeldMessage? TakeSent(ulong sequence) => sent.Remove(sequence, out var message) ? message : null;

    /// <summary>Lets go of a message that is in no place any more.</summary>
    public void Forget(HeldMessage message)
    {
        Count--;
        Bytes -= message.Message.Cost;
        if (message.ExpiresAt != Instant.Never) expiring--;
        if (message.Sequence != 0) unsettled.Remove(message.Sequence);
    }

    /// <summary>Takes a ready one out.</summary>
    public void Drop(HeldMessage message)
    {
        ready.Remove(message.Sequence);
        Forget(message);
    }

    /// <summary>To be sent again, in its old place.</summary>
    public void Return(HeldMessage message) => ready.Add(message.Sequence, message);

    public void Postpone(HeldMessage message, Instant until)
    {
        message.DueAt = until;
        delayed.Enqueue(message, until.Nanoseconds);
    }

    /// <summary>Makes ready what is due, and hands out what is to be dropped.</summary>
    public void Advance(Instant now, TimeSpan holdTime, Action<HeldQueue, HeldMessage, DropReason> dropped)
    {
        while (delayed.TryPeek(out var message, out var due) && due <= now.Nanoseconds)
        {
            delayed.Dequeue();
            if (message.Sequence == 0) MakeReady(message);
            else ready.Add(message.Sequence, message);
        }
        if (scanAt > now)
        {
            if (scanAt == Instant.Never) PlanScan(now);
            return;
        }
        List<(HeldMessage, DropReason)>? gone = null;
        foreach (var message in ready.Values)
        {
            if (message.ExpiresAt <= now) (gone ??= []).Add((message, DropReason.Expired));
            else if (IsGivenUp(message, now, holdTime)) (gone ??= []).Add((message, DropReason.NobodyReceives));
        }
        foreach (var (message, reason) in gone ?? [])
        {
            Drop(message);
            dropped(this, message, reason);
        }
        scanAt = Instant.Never;
        PlanScan(now);
    }

    /// <summary>When <see cref="Advance"/> has to do again.</summary>
    public Instant NextDue => Instant.Min(scanAt, delayed.TryPeek(out _, out var due) ? new Instant(due) : Instant.Never);

    // Messages are dropped within a second of the time; looking at each of many at every turn would cost more than it brings.
    private void PlanScan(Instant now)
    {
        if (scanAt == Instant.Never && ready.Count > 0 && (expiring > 0 || (AbsentSince != Instant.Never && !destination.IsKept))) scanAt = now + TimeSpan.FromSeconds(1);
    }

    private bool IsGivenUp(HeldMessage message, Instant now, TimeSpan holdTime) =>
        !destination.IsKept && AbsentSince != Instant.Never && new Instant(Math.Max(AbsentSince.Nanoseconds, message.DueAt.Nanoseconds)) + holdTime <= now;

    private void MakeReady(HeldMessage message)
    {
        message.Sequence = numbers.Next();
        unsettled.Add(message.Sequence);
        ready.Add(message.Sequence, message);
    }
}

/// <summary>One sequence for all queues of a sender: a queue that is forgotten and comes back never uses a number twice.</summary>
internal sealed class Numbers
{
    public ulong Last { get; private set; }

    public ulong Next() => ++Last;
}

/// <summary>Why a sender dropped a message that nobody completed.</summary>
internal enum DropReason
{
    Expired,
    NobodyReceives,
    FaultedTooOften,
    NoRoom,
}
