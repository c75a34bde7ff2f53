using Florete.Coordination.Contracts;
using Florete.Identities;

namespace Florete.Proxy.Coordination;

/// <summary>Why a decision is refused. Names of counters, so they do not change.</summary>
internal enum DecisionRefusal
{
    Malformed,
    NotMine,
    NotCoordinator,
    Unproved,
    StaleEpoch,
    StaleNumber,
    OutsideBounds,
}

/// <param name="Reason">Which of the checks it failed.</param>
/// <param name="Text">For people, with the remedy.</param>
/// <param name="Epoch">Of the decision; null: it is too malformed to tell.</param>
internal sealed record RefusedDecision(DecisionRefusal Reason, string Text, Epoch? Epoch);

/// <summary>What can be told of a decision without knowing what was decided before (docs/protocols/coordination.md, "decide"), in that order. Thread-safe.</summary>
/// <param name="vertex">Whom decisions are for.</param>
/// <param name="bounds">Who may coordinate, and which links there may be.</param>
/// <param name="verifier">Proves who signed.</param>
internal sealed class DecisionChecks(SpiffeId vertex, IBounds bounds, IPeerVerifier verifier)
{
    /// <summary>Form, addressee, caller, bounds, chain and signature.</summary>
    /// <param name="caller">Who is on the other end, proved.</param>
    /// <param name="signed">What it sent.</param>
    /// <param name="at">The time at which the chain must be valid.</param>
    /// <param name="document">Set when it is well-formed.</param>
    /// <returns>Null: it is proved.</returns>
    public RefusedDecision? Check(SpiffeId caller, SignedDecision signed, DateTimeOffset at, out DecisionDocument? document)
    {
        if (!DecisionDocument.TryParse(signed.Document, out document, out var problem)) return new RefusedDecision(DecisionRefusal.Malformed, problem, null);
        var decision = document;
        if (decision.Cluster != vertex.Cluster || decision.Vertex != vertex.Name)
        {
            return Refuse(DecisionRefusal.NotMine, $"The decision is for vertex {decision.Vertex} of cluster {decision.Cluster}, and this is {vertex.Name} of {vertex.Cluster}.");
        }
        var coordinator = NodeOf(decision.Epoch);
        if (caller != coordinator) return Refuse(DecisionRefusal.NotCoordinator, $"The epoch {decision.Epoch} is of {coordinator.Path}, and {caller.Path} says it.");
        if (bounds.MayCoordinate(coordinator) is { IsAllowed: false } unnamed) return Refuse(DecisionRefusal.NotCoordinator, unnamed.Refusal!);
        if (!EncodedChain.TryDecode(signed.Chain, out var chain)) return Refuse(DecisionRefusal.Unproved, "The chain is none; send the one that came with the signature.");
        var proof = verifier.Verify(chain, at);
        if (proof.Id is null) return Refuse(DecisionRefusal.Unproved, proof.Refusal!);
        if (proof.Id != coordinator) return Refuse(DecisionRefusal.Unproved, $"The chain is of {proof.Id.Path}, and the epoch of {coordinator.Path}.");
        return ProgramSignature.Verify(chain[0], CoordinationProtocol.DecisionPurpose, signed.Document, signed.Signature)
            ? null
            : Refuse(DecisionRefusal.Unproved, $"{coordinator.Path} has not signed this, or not as a decision.");

        RefusedDecision Refuse(DecisionRefusal reason, string text) => new(reason, text, decision.Epoch);
    }

    /// <summary>Does it lie inside the bounds of now? Null: it does.</summary>
    public RefusedDecision? CheckBounds(DecisionDocument decision)
    {
        foreach (var hop in decision.Paths.SelectMany(static path => path.Via))
        {
            if (hop.Neighbour is not { } neighbour) continue;
            if (bounds.MayLink(VertexOf(hop.Vertex), VertexOf(neighbour)) is { IsAllowed: false } forbidden)
            {
                return new RefusedDecision(DecisionRefusal.OutsideBounds, $"It names the link {hop}. {forbidden.Refusal}", decision.Epoch);
            }
        }
        return null;
    }

    /// <summary>Why what was accepted does not hold by the bounds and revocations of now; null: it does.</summary>
    public string? ProblemOf(KeptDecision kept) =>
        (Check(NodeOf(kept.Document.Epoch), kept.Signed, kept.Accepted, out _) ?? CheckBounds(kept.Document))?.Text;

    private SpiffeId NodeOf(Epoch epoch) => SpiffeId.Of(vertex.Cluster, IdentityKind.Node, epoch.Coordinator);

    private SpiffeId VertexOf(string name) => SpiffeId.Of(vertex.Cluster, IdentityKind.Vertex, name);
}
