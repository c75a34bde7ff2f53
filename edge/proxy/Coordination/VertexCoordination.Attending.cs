using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Layers;

namespace Florete.Proxy.Coordination;

/// <content>The program that attends at this vertex, and what the vertex says of it.</content>
internal sealed partial class VertexCoordination
{
    private Attending? attending;
    private Candidacy? said;

    /// <summary>A program attends from now on; who did before does so no longer.</summary>
    /// <param name="onView">Called in this turn, and in a turn with every change.</param>
    /// <param name="onReplaced">Called when another program attends.</param>
    public Attending Attend(Action<VertexView> onView, Action onReplaced)
    {
        var before = attending;
        attending = new Attending(onView, onReplaced);
        silence.Cancel();
        before?.OnReplaced();
        Refresh();
        return attending;
    }

    /// <summary>The program has gone.</summary>
    public void Leave(Attending program)
    {
        if (attending != program) return;
        attending = null;
        silence.Cancel();
        Refresh();
    }

    /// <summary>The program says that it lives, and what it is.</summary>
    /// <param name="program">From <see cref="Attend"/>.</param>
    /// <param name="stand">What it says.</param>
    /// <param name="done">Called in a turn: null and null: it stands so. Else it stands as candidate: the claim is refused, or (a sentence) cannot be kept.</param>
    public void Stand(Attending program, Stand stand, Action<RefusedDecision?, string?> done)
    {
        if (attending != program)
        {
            done(null, "Another program attends at this vertex now.");
            return;
        }
        silence.Set(loop.Now + CoordinationProtocol.StandPatience);
        program.IsStanding = true;
        var term = new Epoch(stand.Counter, vertex.Name);
        if (stand.State == StandState.Candidate)
        {
            program.Wanted = program.Term = null;
        }
        else if (program.Term == term)
        {
            program.Wanted = term;
        }
        else if (program.Lapsed == term && Newest == term)
        {
            // It was silent for a while, and nobody has taken its place.
            program.Wanted = program.Term = term;
        }
        else if (program.Wanted != term)
        {
            Claim(program, term, done);
            return;
        }
        Refresh();
        done(null, null);
    }

    private void Claim(Attending program, Epoch term, Action<RefusedDecision?, string?> done)
    {
        program.Wanted = term;
        RefusedDecision? refused = null;
        Remember(
            now =>
            {
                refused = BadClaim(term, now);
                return refused is null ? now with { Newest = term, Claimed = term.Counter } : now;
            },
            problem =>
            {
                // It may have said something else meanwhile, or have fallen silent.
                if (program.Wanted == term)
                {
                    if (refused is null && problem is null) program.Term = term;
                    else program.Wanted = program.Term = null;
                    Refresh();
                }
                done(refused, refused is null ? problem : null);
            });
    }

    private RefusedDecision? BadClaim(Epoch term, CoordinationMemory now)
    {
        if (bounds.MayCoordinate(vertex) is { IsAllowed: false } unnamed) return new RefusedDecision(DecisionRefusal.NotCoordinator, unnamed.Refusal!, term);
        // A vertex never claims a counter twice, whatever it has forgotten of others.
        var least = Math.Max(now.NewestBy(bounds, vertex)?.Counter ?? 0, now.Claimed);
        return term.Counter > least ? null : new RefusedDecision(DecisionRefusal.StaleEpoch, $"A term of counter {term.Counter} is over; claim more than {least}.", term);
    }

    private void OnSilence()
    {
        if (attending is not { } program) return;
        program.IsStanding = false;
        program.Lapsed = program.Term ?? program.Lapsed;
        program.Wanted = program.Term = null;
        Refresh();
    }

    /// <summary>Says in the vertex record what is true now, and shows the program what has changed.</summary>
    private void Refresh()
    {
        if (isDisposed) return;
        var newest = Newest;
        var isNamed = IsNamed;
        Candidacy? now = attending is not { IsStanding: true } || !isNamed ? null
            : attending.Term is { } term ? new Candidacy(CandidacyState.Coordinator, term.Counter)
            : new Candidacy(CandidacyState.Candidate, newest?.Counter ?? 0);
        if (now != said)
        {
            said = now;
            network.SetCandidacy(now);
        }
        var sight = new Sight(network.View, newest, isNamed, bounds.Current.Version);
        if (attending is null || attending.Seen == sight) return;
        attending.Seen = sight;
        attending.OnView(new VertexView(
            vertex.Name, isNamed,
            [.. sight.View.Candidates.Select(static c => new CandidateView(
                c.Vertex.Name, c.Claim.State == CandidacyState.Coordinator ? StandState.Coordinator : StandState.Candidate, c.Claim.Counter))],
            [.. sight.View.Reachable.Select(static v => v.Name)], sight.BoundsVersion, newest));
    }

    /// <summary>A program on its stream.</summary>
    internal sealed class Attending(Action<VertexView> onView, Action onReplaced)
    {
        public Action<VertexView> OnView { get; } = onView;

        public Action OnReplaced { get; } = onReplaced;

        /// <summary>It has said so lately.</summary>
        public bool IsStanding { get; set; }

        /// <summary>The term that it holds; null: it is a candidate.</summary>
        public Epoch? Term { get; set; }

        /// <summary>The term that it held when it fell silent.</summary>
        public Epoch? Lapsed { get; set; }

        /// <summary>What it claimed last; while that is being written, not its term yet.</summary>
        public Epoch? Wanted { get; set; }

        public Sight? Seen { get; set; }
    }

    /// <summary>What a view is made of.</summary>
    internal sealed record Sight(CoordinationView View, Epoch? Newest, bool IsNamed, long BoundsVersion);
}
