using System.Collections.Frozen;

namespace Florete.Identities;

/// <summary>
/// The revocations in force at a node. Ask at every use and keep no answer: whole snapshots are swapped when one arrives. Thread-safe.
/// </summary>
public sealed class RevocationList
{
    private readonly Lock gate = new();
    private volatile Snapshot snapshot = new([]);

    /// <summary>Raised after others are in force, on the thread that added or removed them.</summary>
    public event Action? Changed;

    /// <summary>One for each revoked identity, ordered by it.</summary>
    public IReadOnlyList<Revocation> InForce => snapshot.All;

    /// <summary>Puts revocations in force beside those that are. Of two of one identity the later time counts.</summary>
    public void Add(params IEnumerable<Revocation> more) => Swap(now => [.. now, .. more]);

    /// <summary>Lets go of those that are no longer needed: every SVID that they hit has expired.</summary>
    public void Prune(DateTimeOffset now)
    {
        if (!snapshot.All.Any(r => r.NeededUntil < now)) return;
        Swap(all => [.. all.Where(r => r.NeededUntil >= now)]);
    }

    /// <summary>The revocation that hits an SVID of the identity that begins at <paramref name="notBefore"/>; null: none does.</summary>
    public Revocation? Find(SpiffeId id, DateTimeOffset notBefore) => snapshot.Find(id) is { } found && notBefore < found.Before ? found : null;

    /// <summary>The revocation of an identity, or of its node if it is one's vertex or node, whichever SVIDs it hits.</summary>
    public Revocation? Find(SpiffeId id) => snapshot.Find(id);

    /// <summary>Why a proof is worth nothing any more: its SVID, or the authority of the node that issued it, is revoked. Null: it is not.</summary>
    public string? Refusal(PeerVerification proof)
    {
        var now = snapshot;
        if (now.All.Count == 0 || proof.Id is not { } id) return null;
        if (now.Find(id) is { } own && proof.NotBefore < own.Before) return $"{own.Describe($"The SVID of {id}")}; it needs a new one.";
        if (proof.IssuingNode is not { } node || now.FindNode(node) is not { } above || proof.IssuerNotBefore >= above.Before) return null;
        return $"{above.Describe($"The authority of node {node}, which issued the SVID of {id},")}; both need new ones.";
    }

    /// <summary>The same of an SVID that is held here.</summary>
    public string? Refusal(X509Svid svid) => snapshot.All.Count == 0 ? null : Refusal(PeerVerification.Of(svid));

    private void Swap(Func<IReadOnlyList<Revocation>, IReadOnlyCollection<Revocation>> change)
    {
        lock (gate)
        {
            var newer = new Snapshot(change(snapshot.All));
            if (newer.All.SequenceEqual(snapshot.All)) return;
            snapshot = newer;
        }
        Changed?.Invoke();
    }

    private sealed class Snapshot
    {
        // A node and its vertex are revoked together, whichever is named.
        private readonly FrozenDictionary<string, Revocation> nodes;
        private readonly FrozenDictionary<SpiffeId, Revocation> others;

        public Snapshot(IReadOnlyCollection<Revocation> all)
        {
            All = [.. all.GroupBy(static r => r.Subject).Select(Latest).OrderBy(static r => r.Subject)];
            nodes = All.Where(static r => r.IsOfNode).GroupBy(static r => r.Subject.Name).ToFrozenDictionary(static g => g.Key, Latest);
            others = All.Where(static r => !r.IsOfNode).ToFrozenDictionary(static r => r.Subject);
        }

        public IReadOnlyList<Revocation> All { get; }

        public Revocation? Find(SpiffeId id) =>
            id.Kind is IdentityKind.Node or IdentityKind.Vertex ? FindNode(id.Name) : others.GetValueOrDefault(id);

        public Revocation? FindNode(string name) => nodes.GetValueOrDefault(name);

        private static Revocation Latest<T>(IGrouping<T, Revocation> same) => same.MaxBy(static r => (r.Before, r.SignedAt))!;
    }
}
