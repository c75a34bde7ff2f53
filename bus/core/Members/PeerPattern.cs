using Florete.Identities;

namespace Florete.Bus;

/// <summary>Names identities: <c>storage</c>, <c>storage.rete</c>, <c>workload/robot-*</c>.</summary>
internal sealed record PeerPattern(IdentityKind Kind, string Name, bool IsPrefix, string? Cluster)
{
    /// <exception cref="ArgumentException">It names nothing; says what to write.</exception>
    public static PeerPattern Parse(string text)
    {
        if (SpiffeId.TryParse(text, out var id, out _)) return new PeerPattern(id.Kind, id.Name, false, id.Cluster);
        if (MeshName.IsMeshName(text))
        {
            if (!MeshName.TryParse(text, "any", out id, out var error)) throw new ArgumentException($"Peer: {error}");
            return new PeerPattern(id.Kind, id.Name, false, text.Count(static c => c == '.') == 1 ? null : id.Cluster);
        }
        var parts = text.Split('/');
        var (kind, name) = (IdentityKind.Service, parts[^1]);
        var isPrefix = name.EndsWith('*');
        if (isPrefix) name = name[..^1];
        var isWell = parts.Length == 1 || (parts.Length == 2 && IdentityKinds.TryParse(parts[0], out kind));
        // A prefix may end in '-', which a name may not.
        if (!isWell || (!isPrefix && name.Length == 0) || (name.Length > 0 && !SpiffeId.TryParse($"spiffe://any/service/{name}{(isPrefix ? "x" : "")}", out _, out _)))
            throw new ArgumentException($"Peer '{text}' names no identity; write storage, storage.rete, workload/robot or service/bus-*.");
        return new PeerPattern(kind, name, isPrefix, null);
    }

    public bool Matches(SpiffeId id) => id.Kind == Kind && (Cluster is null || Cluster == id.Cluster)
        && (IsPrefix ? id.Name.StartsWith(Name, StringComparison.Ordinal) : id.Name == Name);
}
