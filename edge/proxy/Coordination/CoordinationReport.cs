using Florete.Identities;
using Florete.Layers;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy.Coordination;

/// <summary>Coordination as this vertex sees it (docs/protocols/control-socket.md, "Coordination").</summary>
/// <param name="Mode"><c>none</c>: the bounds name nobody; <c>uncoordinated</c>: no coordinator can be reached; <c>coordinated</c>.</param>
/// <param name="Epoch">The newest; null: none yet.</param>
/// <param name="Candidates">That are named and can be reached, by name.</param>
/// <param name="Decision">What was accepted last; null: nothing yet.</param>
/// <param name="Refused">Decisions, by reason, since the start.</param>
/// <param name="Problem">What keeps this vertex from taking part, with the remedy; null: nothing.</param>
internal sealed record CoordinationReport(
    string Mode, Epoch? Epoch, IReadOnlyList<CandidateReport> Candidates, DecisionReport? Decision, IReadOnlyDictionary<string, long> Refused, string? Problem = null)
{
    public static CoordinationReport Of(
        Bounds bounds, CoordinationView view, Epoch? newest, KeptDecision? kept, string? decisionProblem, IReadOnlyList<PathReport> states, DecisionRefusals refusals, string? saveProblem)
    {
        var mode = bounds.Current.Coordinate.Count == 0 ? "none"
            : view.Candidates.Any(static c => c.Claim.State == CandidacyState.Coordinator) ? "coordinated" : "uncoordinated";
        return new CoordinationReport(
            mode, newest,
            [.. view.Candidates.Select(static c => new CandidateReport(c.Vertex.Path, VertexReports.CamelCase(c.Claim.State.ToString()), c.Claim.Counter))],
            kept is null ? null : DecisionReport.Of(kept, decisionProblem, states),
            Enum.GetValues<DecisionRefusal>().Where(reason => refusals.Count(reason) > 0).ToDictionary(DecisionRefusals.Word, refusals.Count),
            saveProblem is null ? null : $"No new term or decision takes effect, for it cannot be saved: {saveProblem} Free the disk, or correct the owner of the state folder.");
    }
}

/// <param name="Vertex">Path of the identity.</param>
/// <param name="State">candidate, coordinator.</param>
/// <param name="Counter">Of the newest term that it has held or seen, or of the one that it holds.</param>
internal sealed record CandidateReport(string Vertex, string State, ulong Counter);

/// <param name="Epoch">Of its coordinator.</param>
/// <param name="Number">In the epoch.</param>
/// <param name="Accepted">When, by this node's clock.</param>
/// <param name="Paths">What it says.</param>
/// <param name="Problem">Why nothing of it is in force; null: it is.</param>
internal sealed record DecisionReport(Epoch Epoch, ulong Number, DateTimeOffset Accepted, IReadOnlyList<PathReport> Paths, string? Problem)
{
    public static DecisionReport Of(KeptDecision kept, string? problem, IReadOnlyList<PathReport> states)
    {
        var byTarget = states.ToDictionary(static state => state.To, StringComparer.Ordinal);
        return new DecisionReport(kept.Document.Epoch, kept.Document.Number, kept.Accepted, [.. kept.Document.Paths.Select(Path)], problem);

        PathReport Path(DecidedPath path)
        {
            var to = $"vertex/{path.To}";
            var state = problem is null ? byTarget.GetValueOrDefault(to) : null;
            // Asked of the forwarding a moment before: it may not have had it yet.
            return new PathReport(to, [.. path.Via.Select(static hop => hop.ToString())], state is { InUse: true }, problem ?? (state is null ? "It is being installed." : state.Problem));
        }
    }
}
