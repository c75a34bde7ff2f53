using System.Net;

namespace Florete.Identities;

/// <summary>What kind of thing happened that whoever watches over a cluster wants to know.</summary>
public enum SecurityEventKind
{
    /// <summary>Somebody did not prove who it is.</summary>
    RefusedHandshake,

    /// <summary>A vertex that proved itself may not link with this one.</summary>
    RefusedLink,

    /// <summary>An identity that proved itself may not connect, or not from there.</summary>
    RefusedCaller,

    /// <summary>A record of the directory was not taken.</summary>
    RefusedRecord,

    /// <summary>The same of a record that says that a service is somewhere.</summary>
    RefusedPublication,

    /// <summary>A decision of a coordinator was not taken.</summary>
    RefusedDecision,

    /// <summary>A revocation took effect here.</summary>
    Revocation,

    /// <summary>A version of a document was not taken: forged, or not allowed.</summary>
    RefusedDocument,
}

/// <param name="Number">1, 2, …, since the program started.</param>
/// <param name="Time">By this node's clock.</param>
/// <param name="Kind">What.</param>
/// <param name="Subject">Whom it is about; empty: unknown.</param>
/// <param name="Peer">Where it came from: a vertex, an address; empty: from here.</param>
/// <param name="Reason">A sentence.</param>
/// <param name="Suppressed">How many like it came since the last such event and were not kept.</param>
public sealed record SecurityEvent(long Number, DateTimeOffset Time, SecurityEventKind Kind, string Subject, string Peer, string Reason, long Suppressed);

/// <summary>
/// The last security events of a node, in memory. Whoever is refused can make events at will, and must not drive out others' with them: of what one peer does in one
/// way, the first is kept at once, and then one a minute, the latest, with the number of those between. Thread-safe.
/// </summary>
public sealed class SecurityEvents(TimeProvider clock)
{
    /// <summary>Some 300 bytes each; who wants them all fetches them meanwhile.</summary>
    public const int MaxKept = 1000;

    /// <summary>Ways of one peer, for each kind; in whatever other way it does it, that counts as one more.</summary>
    public const int MaxToldApart = 8;

    /// <summary>For each kind; what others do counts as that of one. At their worst, what is held back of them is less than 1 MB.</summary>
    public const int MaxPeers = 64;

    /// <summary>Between two events that are alike.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    // Strangers may have addresses without number: in all of a kind, so many.
    private const double AtOnce = 50, PerSecond = 1;
    private const int MaxReasonLength = 500;
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private readonly Queue<SecurityEvent> kept = new();
    private readonly Kind[] kinds = [.. Enum.GetValues<SecurityEventKind>().Select(static kind => new Kind(kind))];
    private long last;
    private TaskCompletionSource next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="kind">What.</param>
    /// <param name="subject">Whom it is about; empty: unknown.</param>
    /// <param name="peer">Where it came from: a vertex, an address; empty: from here, by the subject.</param>
    /// <param name="reason">A sentence.</param>
    /// <param name="way">Begins the reason; events that differ in it, or in the subject, are told apart. Not a peer's word; empty: there is but one.</param>
    public void Add(SecurityEventKind kind, string subject, string peer, string reason, string way = "")
    {
        lock (gate)
        {
            var (state, now) = (kinds[(int)kind], clock.GetTimestamp());
            var seen = new Seen(clock.GetUtcNow(), subject, peer, reason.Length > MaxReasonLength ? reason[..MaxReasonLength] : reason, way);
            // Revocations are the operator's word.
            var alike = kind == SecurityEventKind.Revocation ? null : Find(state, now, Origin(subject, peer), new Way(way, subject));
            if (alike is null)
            {
                if (!Keep(state, now, seen, state.Suppressed)) state.Suppressed++;
                else state.Suppressed = 0;
            }
            else if (IsSaid(alike, now) || !Keep(state, now, seen, alike.Suppressed))
            {
                alike.Latest = seen;
                alike.Suppressed++;
            }
            else
            {
                alike.Say(now);
            }
        }
    }

    /// <summary>Completes at once when the newest event has another number, else with the next event: for who has been told all.</summary>
    public Task OtherThanAsync(long number)
    {
        lock (gate) return last != number ? Task.CompletedTask : next.Task;
    }

    /// <summary>Those that are kept whose number is greater, oldest first.</summary>
    public IReadOnlyList<SecurityEvent> After(long number)
    {
        lock (gate)
        {
            var now = clock.GetTimestamp();
            foreach (var state in kinds) Sweep(state, now);
            return [.. kept.Where(e => e.Number > number)];
        }
    }

    // An address without its port, which is as good as random.
    private static string Origin(string subject, string peer)
    {
        if (peer.Length == 0) return subject;
        return IPEndPoint.TryParse(peer, out var address) && address.Port != 0 ? address.Address.ToString() : peer;
    }

    private bool Keep(Kind state, long now, Seen seen, long suppressed)
    {
        state.Left = state.At == 0 ? AtOnce : Math.Min(AtOnce, state.Left + (clock.GetElapsedTime(state.At, now).TotalSeconds * PerSecond));
        state.At = now;
        if (state.Left < 1) return false;
        state.Left--;
        var reason = seen.Way.Length > 0 ? $"{seen.Way}: {seen.Reason}" : seen.Reason;
        if (kept.Count == MaxKept) kept.Dequeue();
        kept.Enqueue(new SecurityEvent(++last, seen.Time, state.Of, seen.Subject, seen.Peer, reason, suppressed));
        // Who waits goes on elsewhere, and comes for what is kept when this has let go of the lock.
        next.SetResult();
        next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return true;
    }

    private bool IsSaid(Alike alike, long now) => alike.HasSaid && clock.GetElapsedTime(alike.At, now) < Interval;

    private Alike Find(Kind state, long now, string origin, Way way)
    {
        if (!state.Peers.TryGetValue(origin, out var peer))
        {
            if (state.Peers.Count >= MaxPeers && clock.GetElapsedTime(state.SweptAt, now) >= SweepInterval) Sweep(state, now);
            if (state.Peers.Count >= MaxPeers) return state.Others;
            state.Peers.Add(origin, peer = new Peer());
        }
        if (peer.Ways.TryGetValue(way, out var alike)) return alike;
        if (peer.Ways.Count >= MaxToldApart) return peer.Others;
        peer.Ways.Add(way, alike = new Alike());
        return alike;
    }

    // Says what has been held back for a minute, and forgets who has done nothing since.
    private void Sweep(Kind state, long now)
    {
        state.SweptAt = now;
        Settle(state, state.Others, now);
        foreach (var (origin, peer) in state.Peers)
        {
            var isIdle = Settle(state, peer.Others, now);
            foreach (var (way, alike) in peer.Ways)
            {
                if (Settle(state, alike, now)) peer.Ways.Remove(way);
            }
            if (isIdle && peer.Ways.Count == 0) state.Peers.Remove(origin);
        }
    }

    // True: nothing is held back, and the next is the first again.
    private bool Settle(Kind state, Alike alike, long now)
    {
        if (IsSaid(alike, now)) return false;
        if (alike.Latest is not { } latest) return true;
        if (Keep(state, now, latest, alike.Suppressed - 1)) alike.Say(now);
        return false;
    }

    private readonly record struct Seen(DateTimeOffset Time, string Subject, string Peer, string Reason, string Way);

    private readonly record struct Way(string Name, string Subject);

    private sealed class Kind(SecurityEventKind of)
    {
        public SecurityEventKind Of => of;

        public double Left { get; set; }

        public long At { get; set; }

        public long SweptAt { get; set; }

        public long Suppressed { get; set; }

        public Dictionary<string, Peer> Peers { get; } = new(StringComparer.Ordinal);

        public Alike Others { get; } = new();
    }

    private sealed class Peer
    {
        public Dictionary<Way, Alike> Ways { get; } = [];

        public Alike Others { get; } = new();
    }

    /// <summary>What one peer does in one way.</summary>
    private sealed class Alike
    {
        public bool HasSaid { get; private set; }

        public long At { get; private set; }

        /// <summary>The last that is held back; null: none is.</summary>
        public Seen? Latest { get; set; }

        public long Suppressed { get; set; }

        public void Say(long now) => (HasSaid, At, Latest, Suppressed) = (true, now, null, 0);
    }
}
