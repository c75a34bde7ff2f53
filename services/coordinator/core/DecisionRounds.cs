using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>
/// What a coordinator has to send to whom: at once what is new, again what was not confirmed, and everything from time to time, since a vertex may have lost it. Time and outcomes in, documents
/// out. Not thread-safe.
/// </summary>
/// <param name="cluster">Name of the cluster.</param>
public sealed class DecisionRounds(string cluster)
{
    /// <summary>Not confirmed: again after this, then twice as long each time.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);

    public static readonly TimeSpan MostPause = TimeSpan.FromSeconds(10);

    /// <summary>Confirmed: again after this, or <see cref="IntervalPerVertex"/> for each vertex if that is more, so that many vertices cost no more than 100 decisions a second.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    public static readonly TimeSpan IntervalPerVertex = TimeSpan.FromMilliseconds(10);

    private readonly SortedDictionary<string, Decision> decisions = new(StringComparer.Ordinal);
    private IReadOnlyDictionary<string, IReadOnlyList<DecidedPath>> paths = new Dictionary<string, IReadOnlyList<DecidedPath>>();
    private Epoch? term;
    private ulong lastNumber;

    /// <summary>The term in which is decided; null: nothing is.</summary>
    public Epoch? Term => term;

    /// <summary>When <see cref="TakeDue"/> has something.</summary>
    public Instant NextDue
    {
        get
        {
            var next = Instant.Never;
            foreach (var decision in decisions.Values) next = Instant.Min(next, decision.Due);
            return next;
        }
    }

    /// <summary>Begins a term; whatever was decided in another is not sent any more.</summary>
    public void Begin(Epoch epoch)
    {
        if (term == epoch) return;
        End();
        term = epoch;
    }

    public void End()
    {
        term = null;
        lastNumber = 0;
        decisions.Clear();
    }

    /// <summary>Says whom to decide for: the vertices of the group. Nothing happens outside a term.</summary>
    public void SetVertices(IReadOnlyList<string> vertices, Instant now)
    {
        if (term is null) return;
        var present = new HashSet<string>(vertices, StringComparer.Ordinal);
        foreach (var gone in decisions.Keys.Where(v => !present.Contains(v)).ToList()) decisions.Remove(gone);
        foreach (var vertex in present)
        {
            if (!decisions.ContainsKey(vertex)) decisions[vertex] = Decide(vertex, now);
        }
    }

    /// <summary>Says what is decided, by the vertex at which paths begin. Vertices whose paths have not changed are left as they are.</summary>
    public void SetPaths(IReadOnlyDictionary<string, IReadOnlyList<DecidedPath>> byVertex, Instant now)
    {
        paths = byVertex;
        foreach (var (vertex, decision) in decisions.ToList())
        {
            if (!PathsOf(vertex).SequenceEqual(decision.Document.Paths)) decisions[vertex] = Decide(vertex, now);
        }
    }

    /// <summary>Takes what is due, the one that has waited longest first. Whatever comes of it is told by <see cref="Confirmed"/>, <see cref="Refused"/> or <see cref="Failed"/>.</summary>
    public IReadOnlyList<DueDecision> TakeDue(Instant now, int atMost)
    {
        if (term is null || NextDue > now) return [];
        var due = decisions.Values.Where(d => d.Due <= now).OrderBy(static d => d.Due).Take(atMost).ToList();
        foreach (var decision in due)
        {
            // An outcome that comes in time sets another; one that does not come is no outcome.
            decision.Due = now + decision.NextPause;
            decision.NextPause = decision.NextPause * 2 < MostPause ? decision.NextPause * 2 : MostPause;
            decision.LastSent = now;
        }
        return [.. due.Select(static d => new DueDecision(d.Document, d.Encoded))];
    }

    public void Confirmed(DecisionDocument document)
    {
        if (Find(document) is not { } decision) return;
        (decision.State, decision.Reason, decision.Text) = ("confirmed", null, null);
        decision.NextPause = FirstPause;
        var interval = IntervalPerVertex * decisions.Count;
        decision.Due = decision.LastSent + (interval > Interval ? interval : Interval);
    }

    public void Refused(DecisionDocument document, Refusal refusal)
    {
        if (Find(document) is { } decision) (decision.State, decision.Reason, decision.Text) = ("refused", Shown(refusal.Reason, 40), Shown(refusal.Text, 300));
    }

    public void Failed(DecisionDocument document, string problem)
    {
        if (Find(document) is { } decision) (decision.State, decision.Reason, decision.Text) = ("failed", null, Shown(problem, 300));
    }

    /// <summary>For people, by vertex.</summary>
    public IReadOnlyList<DecisionStatus> Status() =>
        [.. decisions.Select(static d => new DecisionStatus(d.Key, d.Value.Document.Number, [.. d.Value.Document.Paths.Select(static p => p.ToString())], d.Value.State, d.Value.Reason, d.Value.Text))];

    // A peer's words: not too many, and no control characters for a terminal.
    private static string Shown(string text, int most) => string.Concat(text.Take(most).Select(static c => char.IsControl(c) ? ' ' : c));

    private Decision? Find(DecisionDocument document) =>
        document.Epoch == term && decisions.TryGetValue(document.Vertex, out var decision) && decision.Document.Number == document.Number ? decision : null;

    private IReadOnlyList<DecidedPath> PathsOf(string vertex) => [.. (paths.GetValueOrDefault(vertex) ?? []).OrderBy(static p => p.To, StringComparer.Ordinal)];

    private Decision Decide(string vertex, Instant now) => new(DecisionDocument.Of(cluster, vertex, term!.Value, ++lastNumber, PathsOf(vertex)), now);

    private sealed class Decision(DecisionDocument document, Instant due)
    {
        public DecisionDocument Document { get; } = document;

        public byte[] Encoded { get; } = document.Encode();

        public Instant Due { get; set; } = due;

        public Instant LastSent { get; set; }

        public TimeSpan NextPause { get; set; } = FirstPause;

        public string State { get; set; } = "sent";

        public string? Reason { get; set; }

        public string? Text { get; set; }
    }
}

/// <param name="Document">What is decided.</param>
/// <param name="Encoded">What is signed and sent.</param>
public sealed record DueDecision(DecisionDocument Document, byte[] Encoded);
