using Florete.Identities;
using Florete.Runtime;

namespace Florete.Bus;

/// <summary>What came of giving a message to the sender.</summary>
internal enum HoldResult
{
    Held,

    /// <summary>The queue's share, or the whole, is used up: wait for <see cref="Sender.Freed"/>, or give up.</summary>
    Full,
}

/// <summary>A queue that receivers have told of.</summary>
internal sealed record KnownQueue(string Name, IReadOnlySet<string> Topics, bool IsTemporary, Instant GoneAt);

/// <summary>
/// The sending half of a member: holds messages until a consumer has completed them, and says who gets them when. No I/O, clock, lock or thread; one caller at a time.
/// Everything it keeps is bounded by <see cref="SenderOptions"/> and <see cref="BusLimits"/>.
/// </summary>
internal sealed class Sender(Guid incarnation, SenderOptions options)
{
    private readonly Dictionary<BusDestination, HeldQueue> held = [];
    private readonly List<SenderSession> sessions = [];
    private readonly Numbers numbers = new();
    private readonly Dictionary<string, KnownQueue> remembered = new(StringComparer.Ordinal);

    public Guid Incarnation => incarnation;

    public SenderOptions Options => options;

    public int Count { get; private set; }

    public long Bytes { get; private set; }

    public IReadOnlyList<SenderSession> Sessions => sessions;

    /// <summary>When <see cref="Advance"/> has to do again; it may become earlier by any call.</summary>
    public Instant WakeAt { get; private set; } = Instant.Never;

    /// <summary>Somewhere there is room again, or more of it for a queue that is received now.</summary>
    public Action? Freed { get; set; }

    /// <summary>A message is gone that nobody completed.</summary>
    public Action<BusDestination, BusMessage, DropReason>? Dropped { get; set; }

    /// <summary>A receiver could not keep a message; it will be sent again.</summary>
    public Action<BusDestination, SenderSession, string>? Faulted { get; set; }

    /// <summary>A message was completed.</summary>
    public Action<BusDestination>? Completed { get; set; }

    public SenderSession Open(SpiffeId? remote, SpiffeId? vertex, bool isLocal, Instant now)
    {
        var session = new SenderSession(this, remote, vertex, isLocal, now);
        sessions.Add(session);
        WakeAt = Instant.Min(WakeAt, session.NextDue);
        return session;
    }

    /// <summary>The connection has ended: what it has not answered for goes elsewhere, or waits.</summary>
    public void Close(SenderSession session, Instant now)
    {
        if (!sessions.Remove(session)) return;
        foreach (var queue in session.Queues) Remember(queue, now);
        foreach (var queue in session.Assigned.ToList()) Detach(queue, now);
    }

    public HoldResult Hold(BusDestination destination, BusMessage message, TimeSpan delay, Instant now)
    {
        if (!held.TryGetValue(destination, out var queue)) held.Add(destination, queue = new HeldQueue(destination, numbers, now));
        // Whether somebody receives decides about room.
        if (queue.Session is null) Assign(queue);
        if (!HasRoom(queue, message)) return HoldResult.Full;
        var due = now + Positive(delay);
        queue.Add(new HeldMessage(message, message.TimeToLive is { } life ? due + Positive(life) : Instant.Never, due), now);
        Count++;
        Bytes += message.Cost;
        queue.Session?.Fill(now);
        WakeAt = Instant.Min(WakeAt, queue.NextDue);
        return HoldResult.Held;
    }

    /// <summary>Keeps a message, letting go of the oldest ones for the same destination if there is no room.</summary>
    public void HoldNewest(BusDestination destination, BusMessage message, Instant now)
    {
        while (Hold(destination, message, TimeSpan.Zero, now) == HoldResult.Full)
        {
            if (held[destination] is not { OldestReady: { } oldest } queue)
            {
                Dropped?.Invoke(destination, message, DropReason.NoRoom);
                return;
            }
            queue.Drop(oldest);
            OnDropped(queue, oldest, DropReason.NoRoom);
        }
    }

    /// <summary>What is held for a destination, the oldest numbers first.</summary>
    public IReadOnlyList<BusMessage> Holding(BusDestination destination) =>
        held.TryGetValue(destination, out var queue) ? [.. queue.Messages.Select(static m => m.Message)] : [];

    public int CountOf(BusDestination destination) => held.TryGetValue(destination, out var queue) ? queue.Count : 0;

    /// <summary>Somebody receives there now.</summary>
    public bool IsReceived(BusDestination destination) => held.TryGetValue(destination, out var queue) && queue.Session is not null;

    /// <summary>Something is held that somebody receives.</summary>
    public bool HasDeliverable => held.Values.Any(static q => q.Session is not null && (q.SentCount > 0 || q.OldestReady is not null));

    /// <summary>Messages that are kept here, errors for the most part.</summary>
    public int KeptCount => held.Values.Where(static q => q.Destination.IsKept).Sum(static q => q.Count);

    /// <summary>The queues that subscribe to one of the topics: those that are there, and those remembered.</summary>
    public IReadOnlyList<(string Queue, bool IsPresent)> Subscribers(IReadOnlyCollection<string> topics)
    {
        var found = new Dictionary<string, bool>(StringComparer.Ordinal);
        foreach (var session in sessions)
        {
            foreach (var queue in session.Queues)
            {
                if (queue.Topics.Any(topics.Contains)) found[queue.Name] = true;
            }
        }
        foreach (var known in remembered.Values)
        {
            if (!found.ContainsKey(known.Name) && known.Topics.Any(topics.Contains)) found.Add(known.Name, IsPresent(known.Name));
        }
        return [.. found.Select(static f => (f.Key, f.Value))];
    }

    /// <summary>Does what time asks for.</summary>
    public void Advance(Instant now)
    {
        foreach (var session in sessions) session.Advance(now);
        foreach (var queue in held.Values.ToList())
        {
            queue.Advance(now, options.HoldTime, OnDropped);
            if (queue.Count > 0) continue;
            queue.Session?.Unassign(queue);
            held.Remove(queue.Destination);
        }
        foreach (var known in remembered.Values.ToList())
        {
            if (known.GoneAt + options.HoldTime <= now) remembered.Remove(known.Name);
        }
        foreach (var session in sessions) session.Fill(now);
        WakeAt = NextDue();
    }

    internal void OnAnnounced(SenderSession session, QueueFrame frame, Instant now)
    {
        remembered.Remove(frame.Name);
        foreach (var queue in session.Assigned)
        {
            if (queue.Number == frame.Number) queue.Window = frame.Window;
        }
        foreach (var queue in held.Values)
        {
            // Its own member's queue is nearer than any other.
            if (queue.Destination.Queue != frame.Name || !Takes(session, queue)) continue;
            if (queue.Session is null) session.Assign(queue, frame);
            else if (session.IsLocal && !queue.Session.IsLocal) Withdraw(queue, now);
        }
        session.Fill(now);
    }

    internal void OnWithdrawn(SenderSession session, QueueFrame frame, Instant now)
    {
        Remember(frame, now);
        foreach (var queue in session.Assigned.ToList())
        {
            if (queue.Number == frame.Number) Withdraw(queue, now);
        }
    }

    internal void OnAnswered(SenderSession session, HeldQueue queue, HeldMessage message, AckFrame ack, Instant now)
    {
        switch (ack.Outcome)
        {
            case DeliveryOutcome.Completed:
                queue.Forget(message);
                Gone(queue, message);
                Completed?.Invoke(queue.Destination);
                break;
            case DeliveryOutcome.Returned:
                queue.Return(message);
                break;
            case DeliveryOutcome.Faulted when ++message.Faults < BusLimits.MaxAttempts:
                var wait = TimeSpan.FromSeconds(Math.Min(60, 1 << (message.Faults - 1)));
                queue.Postpone(message, now + wait);
                Faulted?.Invoke(queue.Destination, session, ack.Sentence);
                break;
            default:
                queue.Forget(message);
                OnDropped(queue, message, DropReason.FaultedTooOften);
                break;
        }
        if (queue.IsDraining && queue.SentCount == 0) Detach(queue, now);
        session.Fill(now);
        WakeAt = Instant.Min(WakeAt, queue.NextDue);
    }

    internal void Expire(HeldQueue queue, HeldMessage message)
    {
        queue.Drop(message);
        OnDropped(queue, message, DropReason.Expired);
    }

    // What nobody receives may fill three quarters of the whole. The rest is for queues that are received, and so drain: each may add while it holds no
    // more than is free, so that slow ones leave something to others however many they are (dynamic thresholds, Choudhury and Hahne 1998).
    private bool HasRoom(HeldQueue queue, BusMessage message)
    {
        var (queueCount, queueBytes, count, bytes) = (queue.Count + 1, queue.Bytes + message.Cost, Count + 1, Bytes + message.Cost);
        if (queueCount > options.MaxQueueMessages || queueBytes > options.MaxQueueBytes) return false;
        if (count <= options.MaxMessages - (options.MaxMessages / 4) && bytes <= options.MaxBytes - (options.MaxBytes / 4)) return true;
        return queue.Session is not null && queueCount <= options.MaxMessages - Count && queueBytes <= options.MaxBytes - Bytes;
    }

    // The session keeps what it has until it has answered; then the queue goes elsewhere.
    private void Withdraw(HeldQueue queue, Instant now)
    {
        queue.IsDraining = true;
        if (queue.SentCount == 0) Detach(queue, now);
    }

    private void Detach(HeldQueue queue, Instant now)
    {
        queue.Session!.Unassign(queue);
        queue.Detach(now);
        Assign(queue);
        queue.Session?.Fill(now);
        WakeAt = Instant.Min(WakeAt, queue.NextDue);
    }

    private void Assign(HeldQueue queue)
    {
        (SenderSession Session, QueueFrame Frame, ulong Rank)? best = null;
        foreach (var session in sessions)
        {
            if (session.Failure is not null || !Takes(session, queue)) continue;
            foreach (var frame in session.Queues)
            {
                if (frame.Name != queue.Destination.Queue) continue;
                var rank = session.IsLocal ? 0 : 1 + (Rank(session, frame.Name) >> 1);
                if (best is null || rank < best.Value.Rank) best = (session, frame, rank);
            }
        }
        if (best is var (chosen, its, _)) chosen.Assign(queue, its);
    }

    private static bool Takes(SenderSession session, HeldQueue queue) =>
        (queue.Destination.Identity is null || queue.Destination.Identity == session.Remote) && (!queue.Destination.IsKept || session.IsLocal);

    // Different senders begin at different instances, and the same one stays (rendezvous hashing).
    private ulong Rank(SenderSession session, string queue)
    {
        // FNV-1a; it only has to spread.
        var hash = 14695981039346656037UL;
        foreach (var c in $"{incarnation} {session.Remote} {session.Vertex} {queue}") hash = (hash ^ c) * 1099511628211UL;
        return hash;
    }

    private static TimeSpan Positive(TimeSpan time) => time > TimeSpan.Zero ? time : TimeSpan.Zero;

    private Instant NextDue()
    {
        var next = Instant.Never;
        foreach (var session in sessions) next = Instant.Min(next, session.NextDue);
        foreach (var queue in held.Values) next = Instant.Min(next, queue.NextDue);
        foreach (var known in remembered.Values) next = Instant.Min(next, known.GoneAt + options.HoldTime);
        return next;
    }

    private bool IsPresent(string queue) => sessions.Any(s => s.Queues.Any(q => q.Name == queue));

    private void Remember(QueueFrame queue, Instant now)
    {
        if (queue.IsTemporary || queue.Topics.Count == 0 || remembered.Count >= BusLimits.MaxRememberedQueues) return;
        remembered[queue.Name] = new KnownQueue(queue.Name, queue.Topics.ToHashSet(StringComparer.Ordinal), queue.IsTemporary, now);
    }

    private void OnDropped(HeldQueue queue, HeldMessage message, DropReason reason)
    {
        Gone(queue, message);
        Dropped?.Invoke(queue.Destination, message.Message, reason);
    }

    private void Gone(HeldQueue queue, HeldMessage message)
    {
        Count--;
        Bytes -= message.Message.Cost;
        Freed?.Invoke();
    }
}
