using Florete.Identities;

namespace Florete.Coordination.Contracts;

/// <summary>What a vertex sees of its connected group.</summary>
/// <param name="Vertex">Its name.</param>
/// <param name="Named">Do the bounds name its node under <c>coordinate</c>?</param>
/// <param name="Candidates">Reachable and named, the program on this node included.</param>
/// <param name="Vertices">All that can be reached, this one included.</param>
/// <param name="BoundsVersion">Of the bounds that it obeys.</param>
/// <param name="Newest">The newest epoch; null: none yet.</param>
public sealed record VertexView(string Vertex, bool Named, IReadOnlyList<CandidateView> Candidates, IReadOnlyList<string> Vertices, long BoundsVersion, Epoch? Newest = null)
{
    internal string? Problem()
    {
        if (!CoordinationProtocol.IsName(Vertex)) return "A view is of no vertex.";
        foreach (var candidate in Candidates)
        {
            // Null in a list is not told by the serializer.
            if (candidate is null || !CoordinationProtocol.IsName(candidate.Vertex)) return "A candidate of a view has no name.";
            if (candidate is { State: StandState.Coordinator, Counter: 0 }) return $"The view's coordinator {candidate.Vertex} has no term.";
        }
        foreach (var vertex in Vertices)
        {
            if (!CoordinationProtocol.IsName(vertex)) return "A vertex of a view has no name.";
        }
        return Newest is { } newest ? Refusal.EpochProblem(newest) : null;
    }
}

/// <param name="Vertex">Where the program is.</param>
/// <param name="State">What it is.</param>
/// <param name="Counter">As in <see cref="Stand"/>.</param>
public sealed record CandidateView(string Vertex, StandState State, ulong Counter);
