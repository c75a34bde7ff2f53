using Florete.Coordination.Contracts;
using Florete.Identities;

namespace Florete.Proxy.Coordination;

/// <summary>What a vertex must not forget of coordination; immutable.</summary>
/// <param name="Newest">The greatest epoch seen; null: none. Void while the bounds do not name its vertex.</param>
/// <param name="Claimed">The greatest counter that this vertex has claimed itself; 0: none.</param>
/// <param name="Decision">What was accepted last; null: nothing yet.</param>
internal sealed record CoordinationMemory(Epoch? Newest, ulong Claimed, KeptDecision? Decision)
{
    public static CoordinationMemory None { get; } = new(null, 0, null);

    /// <summary>The newest epoch by these bounds, of this vertex.</summary>
    public Epoch? NewestBy(IBounds bounds, SpiffeId vertex)
    {
        Epoch? newest = null;
        foreach (var epoch in (ReadOnlySpan<Epoch?>)[Newest, Decision?.Document.Epoch, Claimed > 0 ? new Epoch(Claimed, vertex.Name) : null])
        {
            if (epoch is not { } known || known <= newest || !bounds.MayCoordinate(SpiffeId.Of(vertex.Cluster, IdentityKind.Node, known.Coordinator)).IsAllowed) continue;
            newest = known;
        }
        return newest;
    }
}

/// <summary>A decision that was accepted.</summary>
/// <param name="Document">What it says.</param>
/// <param name="Signed">As it came.</param>
/// <param name="Accepted">When: its proof is checked again as of then, for a decision outlives the SVID that signed it.</param>
internal sealed record KeptDecision(DecisionDocument Document, SignedDecision Signed, DateTimeOffset Accepted);

/// <summary>Where it is kept over restarts.</summary>
internal interface ICoordinationFile
{
    CoordinationMemory Loaded { get; }

    /// <summary>Replaces the file and says how it went, from any thread. One at a time.</summary>
    /// <param name="memory">What to keep.</param>
    /// <param name="saved">Null: it survives a crash of the machine; else why not, and the old file is there.</param>
    void Save(CoordinationMemory memory, Action<Exception?> saved);
}
