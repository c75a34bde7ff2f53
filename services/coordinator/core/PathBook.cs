using Florete.Coordination.Contracts;
using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>
/// The paths that are wanted, what was computed for them, and what has to be asked: in rounds, each of which asks for all of them, those that are to be disjoint from others after these. Not
/// thread-safe.
/// </summary>
public sealed class PathBook
{
    /// <summary>Changes come in bursts.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    /// <summary>What could not be computed is asked again after this.</summary>
    public static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(5);

    /// <summary>More is nobody's to oversee.</summary>
    public const int MostWishes = 1024;

    // A decision has 32 KiB; so much is left for what is around its paths.
    private const int MostPathBytes = 31 * 1024;

    private readonly SortedDictionary<string, Wanted> wanted = new(StringComparer.Ordinal);
    private Instant due = Instant.Never;
    private int round;
    private bool inRound;
    private bool hasFailed;
    private bool mayAskMore;
    private bool hasEnded;

    /// <summary>When <see cref="TakeDue"/> has something that it had not before.</summary>
    public Instant NextDue => hasEnded || (inRound && mayAskMore) ? new Instant(0) : inRound ? Instant.Never : due;

    public int Count => wanted.Count;

    /// <summary>Everything that is wanted was computed, or found not to be possible, or at least asked.</summary>
    public bool IsSettled => hasFailed || (!inRound && due == Instant.Never);

    /// <summary>A wish is there, or another; null: it is not understood.</summary>
    public void Set(string name, PathWish? wish, string? problem, Instant now)
    {
        if (!wanted.ContainsKey(name) && wanted.Count >= MostWishes) return;
        var before = wanted.GetValueOrDefault(name);
        var one = new Wanted(wish) { State = wish is null ? "malformed" : "asking", Text = problem };
        // Until the other is computed, the path stays as it was.
        if (wish is not null && before?.Wish is { } old && (old.From, old.To) == (wish.From, wish.To)) (one.Vertices, one.Via) = (before.Vertices, before.Via);
        wanted[name] = one;
        mayAskMore = true;
        Invalidate(now);
    }

    public void Remove(string name, Instant now)
    {
        if (wanted.Remove(name)) Invalidate(now);
    }

    /// <summary>The topology has changed, or the group.</summary>
    public void Invalidate(Instant now)
    {
        due = Instant.Min(due, now + Pause);
    }

    /// <summary>A round has ended since this was asked last: look at <see cref="ByVertex"/>. Only then, so that many answers make one decision.</summary>
    public bool TakeEnd()
    {
        var had = hasEnded;
        hasEnded = false;
        return had;
    }

    /// <summary>Asks for everything at once: a term begins.</summary>
    public void Begin(Instant now)
    {
        (inRound, hasFailed, hasEnded) = (false, false, false);
        due = now;
    }

    /// <summary>What is to be asked now; each is to be answered by <see cref="Answer"/>.</summary>
    public IReadOnlyList<PathQuestion> TakeDue(Instant now)
    {
        if (!inRound)
        {
            if (due > now) return [];
            (due, inRound, hasFailed) = (Instant.Never, true, false);
            round++;
        }
        mayAskMore = false;
        var questions = new List<PathQuestion>();
        // What is settled without being asked may settle others.
        while (AskOrSettle(questions))
        {
        }
        if (questions.Count == 0) EndIfDone(now);
        return questions;
    }

    /// <summary>What was computed.</summary>
    public void Answer(PathQuestion question, PathOutcome outcome, Instant now)
    {
        if (!inRound || question.Round != round) return;
        mayAskMore = true;
        if (wanted.TryGetValue(question.Name, out var one) && ReferenceEquals(one.Wish, question.Wish))
        {
            one.AnsweredIn = round;
            (one.State, one.Text) = (outcome.IsMet ? "met" : outcome.IsFinal ? "unmet" : "asking", outcome.Text);
            // What could not be computed just now may stand as it was: its vertex falls back to the best path by itself.
            if (outcome.IsMet || outcome.IsFinal) (one.Vertices, one.Via) = (outcome.Vertices, outcome.Via);
            else hasFailed = true;
        }
        EndIfDone(now);
    }

    /// <summary>What is to be decided, by the vertex at which paths begin.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<DecidedPath>> ByVertex()
    {
        var byVertex = new Dictionary<string, IReadOnlyList<DecidedPath>>(StringComparer.Ordinal);
        foreach (var from in wanted.Values.Where(static w => w.Via is { Count: > 0 }).GroupBy(static w => w.Wish!.From))
        {
            var (paths, bytes) = (new List<DecidedPath>(), 0);
            foreach (var one in from)
            {
                var path = new DecidedPath(one.Wish!.To, one.Via!);
                var size = 30 + path.To.Length + path.Via.Sum(static h => h.ToString().Length + 3);
                if (paths.Any(p => p.To == path.To))
                {
                    (one.State, one.Text) = ("unmet", $"Another document already says the path from {from.Key} to {path.To}; of those the one with the first name counts.");
                }
                else if (paths.Count >= CoordinationProtocol.MaxPaths || bytes + size > MostPathBytes)
                {
                    (one.State, one.Text) = ("unmet", $"A vertex takes {CoordinationProtocol.MaxPaths} paths; {from.Key} has as many from documents with earlier names.");
                }
                else
                {
                    paths.Add(path);
                    bytes += size;
                }
            }
            byVertex[from.Key] = paths;
        }
        return byVertex;
    }

    /// <summary>For people, by name.</summary>
    public IReadOnlyList<WishStatus> Status() => [.. wanted.Select(static w => new WishStatus(w.Key, w.Value.Wish?.From ?? "", w.Value.Wish?.To ?? "", w.Value.State, w.Value.Text))];

    // True: something was settled.
    private bool AskOrSettle(List<PathQuestion> questions)
    {
        var hasSettled = false;
        foreach (var (name, one) in wanted)
        {
            if (one.AskedIn == round || one.Wish is not { } wish) continue;
            IReadOnlyList<string>? other = null;
            if (wish.DisjointFrom is { } otherName)
            {
                if (!wanted.TryGetValue(otherName, out var referent) || otherName == name)
                {
                    one.Settle(round, "unmet", $"There is no other path '{otherName}' to be disjoint from.");
                    hasSettled = true;
                    continue;
                }
                if (referent.Wish is not null && referent.AnsweredIn != round) continue;
                if (referent.Vertices is not { } vertices)
                {
                    one.Settle(round, "unmet", $"The path '{otherName}', from which it is to be disjoint, is not there.");
                    hasSettled = true;
                    continue;
                }
                other = vertices;
            }
            one.AskedIn = round;
            questions.Add(new PathQuestion(name, round, wish, other));
        }
        return hasSettled;
    }

    private void EndIfDone(Instant now)
    {
        if (wanted.Values.Any(w => w.Wish is not null && w.AskedIn == round && w.AnsweredIn != round)) return;
        var left = wanted.Values.Where(w => w.Wish is not null && w.AskedIn != round).ToList();
        // Some can be asked now that what they refer to is known.
        if (left.Any(w => wanted.GetValueOrDefault(w.Wish!.DisjointFrom ?? "") is not { Wish: not null } referent || referent.AnsweredIn == round)) return;
        foreach (var one in left) one.Settle(round, "unmet", "Paths are to be disjoint from each other in a circle; let one of them stand alone.");
        (inRound, hasEnded) = (false, true);
        if (hasFailed) due = Instant.Min(due, now + RetryPause);
    }

    private sealed class Wanted(PathWish? wish)
    {
        public PathWish? Wish { get; } = wish;

        public int AskedIn { get; set; }

        public int AnsweredIn { get; set; }

        public required string State { get; set; }

        public string? Text { get; set; }

        public IReadOnlyList<string>? Vertices { get; set; }

        public IReadOnlyList<Hop>? Via { get; set; }

        public void Settle(int round, string state, string text)
        {
            AskedIn = AnsweredIn = round;
            (State, Text, Vertices, Via) = (state, text, null, null);
        }
    }
}

/// <param name="Name">Of the wish.</param>
/// <param name="Round">In which it is asked.</param>
/// <param name="Wish">What is wanted.</param>
/// <param name="DisjointFrom">The vertices of a path from which it is to be disjoint; null: of none.</param>
public sealed record PathQuestion(string Name, int Round, PathWish Wish, IReadOnlyList<string>? DisjointFrom);

/// <summary>What a path computation says.</summary>
/// <param name="IsMet">There is such a path.</param>
/// <param name="IsFinal">False: it could not be computed now; the same may be asked again.</param>
/// <param name="Text">For people.</param>
/// <param name="Vertices">All of the path, its ends included.</param>
/// <param name="Via">What a decision says; empty: the best path is one.</param>
public sealed record PathOutcome(bool IsMet, bool IsFinal, string Text, IReadOnlyList<string>? Vertices = null, IReadOnlyList<Hop>? Via = null)
{
    public static PathOutcome Failed(string text) => new(false, false, text);
}
