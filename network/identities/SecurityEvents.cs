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
/// <param name="Suppressed">Events of the kind that came too fast to be kept since the last one of it.</param>
public sealed record SecurityEvent(long Number, DateTimeOffset Time, SecurityEventKind Kind, string Subject, string Peer, string Reason, long Suppressed);

/// <summary>The last security events of a node, in memory. Thread-safe.</summary>
public sealed class SecurityEvents(TimeProvider clock)
{
    /// <summary>Some 300 bytes each; who wants them all fetches them meanwhile.</summary>
    public const int MaxKept = 1000;

    // A stranger can make events of some kinds at will, and must not drive out the others with them.
    private const double AtOnce = 50, PerSecond = 1;
    private const int MaxReasonLength = 500;

    private readonly Lock gate = new();
    private readonly Queue<SecurityEvent> kept = new();
    private readonly Kind[] kinds = [.. Enum.GetValues<SecurityEventKind>().Select(static _ => new Kind())];
    private long last;

    /// <summary>Raised for each that is kept, on the thread where it happened.</summary>
    public event Action<SecurityEvent>? Added;

    public void Add(SecurityEventKind kind, string subject, string peer, string reason)
    {
        SecurityEvent added;
        lock (gate)
        {
            var (state, now) = (kinds[(int)kind], clock.GetTimestamp());
            state.Left = state.At == 0 ? AtOnce : Math.Min(AtOnce, state.Left + (clock.GetElapsedTime(state.At, now).TotalSeconds * PerSecond));
            state.At = now;
            if (state.Left < 1)
            {
                state.Suppressed++;
                return;
            }
            state.Left--;
            added = new SecurityEvent(++last, clock.GetUtcNow(), kind, subject, peer, reason.Length > MaxReasonLength ? reason[..MaxReasonLength] : reason, state.Suppressed);
            state.Suppressed = 0;
            if (kept.Count == MaxKept) kept.Dequeue();
            kept.Enqueue(added);
        }
        Added?.Invoke(added);
    }

    /// <summary>Those that are kept whose number is greater, oldest first.</summary>
    public IReadOnlyList<SecurityEvent> After(long number)
    {
        lock (gate) return [.. kept.Where(e => e.Number > number)];
    }

    private sealed class Kind
    {
        public double Left { get; set; }

        public long At { get; set; }

        public long Suppressed { get; set; }
    }
}
