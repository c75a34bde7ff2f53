using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>
/// Where one program stands in the election of its group (docs/protocols/coordination.md, "Election"): views of its vertex and time in, its stand out. It knows nothing but what its vertex
/// tells; that vertex, and each that gets a decision, judges the claims. Not thread-safe.
/// </summary>
public sealed class Election
{
    /// <summary>So long no coordinator must be seen before the first of the candidates claims; each other waits as much more.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);

    /// <summary>A program that has just begun does not know yet who is there.</summary>
    public static readonly TimeSpan LeastAttendance = TimeSpan.FromSeconds(1);

    private readonly TermHistory history = new();

    private VertexView? view;
    private Instant attendedSince;
    private Instant noneSeenSince;
    private ulong known;
    private ulong? claimed;
    private bool isConfirmed;

    /// <summary>What to say to the vertex; null: it is not attended.</summary>
    public Stand? Stand => view is null && !IsAttending ? null
        : claimed is { } counter ? new Stand(StandState.Coordinator, counter) : new Stand(StandState.Candidate, known);

    public bool IsAttending { get; private set; }

    /// <summary>What the vertex saw last; null: nothing since it is attended.</summary>
    public VertexView? View => view;

    /// <summary>The term that this program holds and its vertex has confirmed: then it has it on disk, and will not give the counter again. Null: it is not the coordinator.</summary>
    public Epoch? Term => claimed is { } counter && isConfirmed && view is not null ? new Epoch(counter, view.Vertex) : null;

    /// <summary>The coordinator with the greatest epoch in the group as the vertex sees it; null: none is seen.</summary>
    public Epoch? Seen { get; private set; }

    /// <summary>When <see cref="Advance"/> has something to do.</summary>
    public Instant NextDue => MayClaim(out var from) ? from : Instant.Never;

    /// <summary>Until then nobody claims: too many terms have begun.</summary>
    public Instant PausedUntil => history.PausedUntil;

    /// <summary>The stream to the vertex is open.</summary>
    public void Attended(Instant now)
    {
        Detached();
        IsAttending = true;
        attendedSince = now;
    }

    /// <summary>The stream has ended, and the term with it.</summary>
    public void Detached()
    {
        IsAttending = false;
        view = null;
        Seen = null;
        claimed = null;
    }

    /// <summary>The vertex told what it sees.</summary>
    public void See(VertexView seen, Instant now)
    {
        if (!IsAttending) return;
        history.See(seen, now);
        var isFirst = view is null;
        var sawOne = Seen is not null || claimed is not null;
        view = seen;
        Seen = null;
        if (seen.Newest is { } newest) known = Math.Max(known, newest.Counter);
        foreach (var candidate in seen.Candidates)
        {
            // What a candidate has seen counts: the claim is to be above it everywhere.
            known = Math.Max(known, candidate.Counter);
            if (candidate.State != StandState.Coordinator) continue;
            var term = new Epoch(candidate.Counter, candidate.Vertex);
            if (candidate.Vertex == seen.Vertex)
            {
                if (candidate.Counter == claimed) isConfirmed = true;
                continue;
            }
            if (Seen is not { } greatest || term > greatest) Seen = term;
        }
        if (claimed is { } counter && !IsMine(seen, new Epoch(counter, seen.Vertex))) claimed = null;
        if (Seen is null && claimed is null && (isFirst || sawOne)) noneSeenSince = now;
        if (claimed is not null && seen.Newest == new Epoch(claimed.Value, seen.Vertex)) isConfirmed = true;
    }

    /// <summary>A claim, or a decision, was refused because a newer epoch is known there.</summary>
    /// <param name="newest">What is known there; null: it was not told.</param>
    /// <param name="now">The time.</param>
    public void Refused(Epoch? newest, Instant now)
    {
        if (newest is { } epoch) known = Math.Max(known, epoch.Counter);
        if (claimed is null) return;
        claimed = null;
        noneSeenSince = now;
    }

    /// <summary>Claims, if it is time; true: it has.</summary>
    public bool Advance(Instant now)
    {
        if (!MayClaim(out var from) || now < from) return false;
        claimed = ++known;
        isConfirmed = false;
        return true;
    }

    // A greater epoch whose coordinator cannot be reached is no coordinator, but everybody refuses decisions below it: the program claims again, above it.
    private static bool IsMine(VertexView seen, Epoch term)
    {
        if (!seen.Named || seen.Newest > term) return false;
        foreach (var candidate in seen.Candidates)
        {
            if (candidate.State == StandState.Coordinator && new Epoch(candidate.Counter, candidate.Vertex) > term) return false;
        }
        return true;
    }

    private bool MayClaim(out Instant from)
    {
        from = Instant.Never;
        // The last counter is nobody's: none could follow. Who has claimed it is taken out of the bounds.
        if (view is not { Named: true } || claimed is not null || Seen is not null || known == ulong.MaxValue) return false;
        var rank = 0;
        foreach (var candidate in view.Candidates)
        {
            if (string.CompareOrdinal(candidate.Vertex, view.Vertex) < 0) rank++;
        }
        var begin = attendedSince + (LeastAttendance - Patience);
        if (noneSeenSince > begin) begin = noneSeenSince;
        if (history.PausedUntil > begin) begin = history.PausedUntil;
        from = begin + (Patience * (1 + rank));
        return true;
    }
}
