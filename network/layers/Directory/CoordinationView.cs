using Florete.Identities;

namespace Florete.Layers;

/// <summary>
/// Who could coordinate, as the directory of one vertex knows it at one moment; immutable (docs/protocols/coordination.md). Claims of vertices that the bounds do not name under
/// <c>coordinate</c> are not in it.
/// </summary>
/// <param name="Reachable">The vertices that can be reached, this one included, by name.</param>
/// <param name="Candidates">Those of them whose program stands, by name.</param>
/// <param name="Newest">The greatest epoch that any vertex claims, reachable or not; null: none does.</param>
public sealed record CoordinationView(IReadOnlyList<SpiffeId> Reachable, IReadOnlyList<Candidate> Candidates, Epoch? Newest)
{
    public static CoordinationView Empty { get; } = new([], [], null);

    public bool Equals(CoordinationView? other) => other is not null && Newest == other.Newest
        && Candidates.SequenceEqual(other.Candidates) && Reachable.SequenceEqual(other.Reachable);

    public override int GetHashCode() => HashCode.Combine(Newest, Candidates.Count, Reachable.Count);

    internal static CoordinationView Build(RecordStore store, IReadOnlySet<SpiffeId> reachable, IBounds bounds)
    {
        var candidates = new List<Candidate>();
        Epoch? newest = null;
        foreach (var origin in store.Origins)
        {
            if (origin.VertexRecord is not { IsWithdrawn: false, Body.Candidacy: { } claim } || !bounds.MayCoordinate(origin.Id).IsAllowed) continue;
            if (reachable.Contains(origin.Id)) candidates.Add(new Candidate(origin.Id, claim));
            if (claim.State != CandidacyState.Coordinator) continue;
            var epoch = new Epoch(claim.Counter, origin.Id.Name);
            if (newest is null || epoch > newest) newest = epoch;
        }
        return new CoordinationView([.. reachable.Order()], [.. candidates.OrderBy(static c => c.Vertex)], newest);
    }
}

/// <param name="Vertex">A vertex that can be reached and is named in the bounds.</param>
/// <param name="Claim">What it says.</param>
public readonly record struct Candidate(SpiffeId Vertex, Candidacy Claim);
