using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>
/// A coordinator program without its connections: what arrived goes in, with the time, and <see cref="TakeDue"/> says what to do. Whoever drives it takes what is due before it tells what has
/// arrived: so one that was frozen sends the decision that was due before it learns of its successor, and each vertex can refuse, count and show it. Not thread-safe.
/// </summary>
/// <param name="cluster">Name of the cluster.</param>
public sealed class Coordinator(string cluster)
{
    /// <summary>Shorter than <see cref="CoordinationProtocol.StandInterval"/>: a machine that is busy is not to cost the candidacy.</summary>
    public static readonly TimeSpan StandInterval = TimeSpan.FromSeconds(1);

    /// <summary>A new coordinator waits so long, and no longer, until it knows which paths are wanted: what its predecessor has decided would be taken away, and come again.</summary>
    public static readonly TimeSpan PathPatience = TimeSpan.FromSeconds(3);

    // Started at once; the next are taken when some have an outcome.
    private const int MostDecisionsAtOnce = 64;

    // Before every other.
    private static readonly Instant AtOnce = new(0);

    private readonly Election election = new();
    private readonly DecisionRounds rounds = new(cluster);
    private readonly PathBook book = new();
    private readonly HearsayAllowance hearsay = new();
    private Stand? said;
    private Instant standDue = Instant.Never;
    private Instant pathsDue = Instant.Never;
    private Instant? begun;
    private Epoch? term;
    private bool knowsWishes;

    /// <summary>The term that it holds; null: it is not the coordinator.</summary>
    public Epoch? Term => election.Term;

    public bool IsAttending => election.IsAttending;

    public VertexView? View => election.View;

    /// <summary>When <see cref="TakeDue"/> has something.</summary>
    public Instant NextDue
    {
        get
        {
            if (!election.IsAttending) return Instant.Never;
            if (election.Stand != said) return AtOnce;
            var next = Instant.Min(standDue, election.NextDue);
            if (term is null) return next;
            next = Instant.Min(next, book.NextDue);
            return Instant.Min(next, rounds.Term is not null ? rounds.NextDue : KnowsPaths ? AtOnce : pathsDue);
        }
    }

    /// <summary>The stream to its vertex is open.</summary>
    public void Attended(Instant now)
    {
        election.Attended(now);
        Follow(now);
        (said, standDue) = (null, now);
        begun ??= now;
    }

    /// <summary>The stream to its vertex has ended.</summary>
    public void Detached(Instant now)
    {
        election.Detached();
        Follow(now);
    }

    /// <summary>Its vertex told what it sees.</summary>
    public void See(VertexView view, Instant now)
    {
        var before = election.View;
        election.See(view, now);
        Follow(now);
        if (term is not null && (before is null || !before.Vertices.SequenceEqual(view.Vertices))) book.Invalidate(now);
        rounds.SetVertices(view.Vertices, now);
    }

    /// <summary>Its vertex refused a claim.</summary>
    public void ClaimRefused(Refusal refusal, Instant now)
    {
        election.Refused(refusal.Newest, now);
        Follow(now);
    }

    /// <summary>A vertex has answered a decision.</summary>
    /// <param name="decision">Which.</param>
    /// <param name="refusal">Null: it is in force.</param>
    /// <param name="now">The time.</param>
    public void Answered(DecisionDocument decision, Refusal? refusal, Instant now)
    {
        if (refusal is null)
        {
            rounds.Confirmed(decision);
            return;
        }
        rounds.Refused(decision, refusal);
        if (refusal.Reason != RefusalReasons.StaleEpoch || decision.Epoch != term || refusal.Newest is not { } newest || newest <= decision.Epoch) return;
        if (decision.Vertex != election.View?.Vertex && !hearsay.Allows(decision.Vertex, now)) return;
        election.Refused(newest, now);
        Follow(now);
    }

    /// <summary>A vertex could not be reached with a decision.</summary>
    public void Failed(DecisionDocument decision, string problem) => rounds.Failed(decision, problem);

    /// <summary>A path is wanted; null: the document of that name is not understood.</summary>
    public void Want(string name, PathWish? wish, string? problem, Instant now) => book.Set(name, wish, problem, now);

    public void WantNoMore(string name, Instant now) => book.Remove(name, now);

    /// <summary>All paths that are wanted have been told.</summary>
    public void KnowsAllWanted() => knowsWishes = true;

    public bool WantsPaths => term is not null && book.Count > 0;

    /// <summary>The topology has changed.</summary>
    public void TopologyChanged(Instant now) => book.Invalidate(now);

    /// <summary>A path was computed, or not.</summary>
    public void Computed(PathQuestion question, PathOutcome outcome, Instant now) => book.Answer(question, outcome, now);

    /// <summary>What is to be done now, in this order.</summary>
    public DueWork TakeDue(Instant now)
    {
        if (!election.IsAttending) return DueWork.None;
        IReadOnlyList<DueDecision> decisions = [];
        IReadOnlyList<PathQuestion> questions = [];
        if (term is { } held)
        {
            questions = book.TakeDue(now);
            if (book.TakeEnd()) Decide(now);
            if (rounds.Term is null && (now >= pathsDue || KnowsPaths))
            {
                rounds.Begin(held);
                Decide(now);
                rounds.SetVertices(election.View!.Vertices, now);
            }
            decisions = rounds.TakeDue(now, MostDecisionsAtOnce);
        }
        election.Advance(now);
        var stand = election.Stand;
        if (stand is null || (stand == said && now < standDue)) return new DueWork(decisions, questions, null);
        (said, standDue) = (stand, now + StandInterval);
        return new DueWork(decisions, questions, stand);
    }

    /// <summary>For people.</summary>
    /// <param name="now">The time.</param>
    /// <param name="missing">What is not there.</param>
    public CoordinatorStatus Status(Instant now, IReadOnlyList<string> missing)
    {
        var mode = !election.IsAttending || election.View is not { } view ? "detached"
            : term is not null ? "coordinator"
            : !view.Named ? "unnamed"
            : now < election.PausedUntil ? "paused"
            : "candidate";
        return new CoordinatorStatus(
            mode, rounds.Status(), term is null ? [] : book.Status(), missing, term, term is null ? election.Seen?.Coordinator : term.Value.Coordinator, election.View);
    }

    private bool KnowsPaths => knowsWishes && book.IsSettled;

    private void Decide(Instant now) => rounds.SetPaths(book.ByVertex(), now);

    // What follows from the term that is held now.
    private void Follow(Instant now)
    {
        if (election.Term == term) return;
        term = election.Term;
        rounds.End();
        if (term is null) return;
        book.Begin(now);
        // Where nothing was told of what is wanted since this program began, waiting once more tells nothing.
        pathsDue = (knowsWishes ? now : begun!.Value) + PathPatience;
    }
}

/// <param name="Decisions">To be signed and sent, each to its vertex.</param>
/// <param name="Questions">To be asked of a path computation.</param>
/// <param name="Stand">To be said to the own vertex; null: nothing.</param>
public sealed record DueWork(IReadOnlyList<DueDecision> Decisions, IReadOnlyList<PathQuestion> Questions, Stand? Stand)
{
    public static DueWork None { get; } = new([], [], null);
}
