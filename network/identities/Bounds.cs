namespace Florete.Identities;

/// <summary>Evaluates the bounds in force. Whole documents are swapped; every answer comes from one of them. Thread-safe.</summary>
public sealed class Bounds : IBounds
{
    private volatile Rules rules;

    /// <param name="document">A document that is trusted already: verified, or a test's.</param>
    public Bounds(BoundsDocument document) => rules = new Rules(document);

    public event Action? Changed;

    /// <summary>The document in force.</summary>
    public BoundsDocument Current => rules.Document;

    /// <summary>Puts other bounds in force and raises <see cref="Changed"/>, on this thread.</summary>
    public void Replace(BoundsDocument document)
    {
        rules = new Rules(document);
        Changed?.Invoke();
    }

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour)
    {
        var now = rules;
        if (now.Stranger(vertex, neighbour) is { } refusal) return Verdict.Refused(refusal);
        if (vertex.Kind != IdentityKind.Vertex || neighbour.Kind != IdentityKind.Vertex)
        {
            return Verdict.Refused($"Only vertices form links; {(vertex.Kind != IdentityKind.Vertex ? vertex : neighbour).Path} is none.");
        }
        if (vertex == neighbour) return Verdict.Refused($"{vertex.Path} does not link to itself.");
        return now.Document.Links.Any(rule => rule.Allows(vertex.Name, neighbour.Name))
            ? Verdict.Allowed
            : now.Missing($"{vertex.Name} and {neighbour.Name} form a link", "links");
    }

    public Verdict MayConnect(SpiffeId caller, SpiffeId target)
    {
        var now = rules;
        if (now.Stranger(caller, target) is { } refusal) return Verdict.Refused(refusal);
        return now.Coordinates(caller, target) || now.Document.Connect.Any(rule => rule.Allows(caller, target))
            ? Verdict.Allowed
            : now.Missing($"{caller.Path} connect to {target.Path}", "connect");
    }

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity)
    {
        var now = rules;
        if (now.Stranger(vertex, identity) is { } refusal) return Verdict.Refused(refusal);
        if (vertex.Kind != IdentityKind.Vertex) return Verdict.Refused($"{vertex.Path} is no vertex, so it hosts nothing.");
        // A node holds its own vertex and node identity, and never another's.
        if (identity.Kind is IdentityKind.Vertex or IdentityKind.Node)
        {
            return identity.Name == vertex.Name ? Verdict.Allowed : Verdict.Refused($"Node {vertex.Name} cannot hold {identity.Path} of another node.");
        }
        return now.HostsOf(vertex.Name).Any(rule => rule.Allows(vertex.Name, identity))
            ? Verdict.Allowed
            : now.Missing($"node {vertex.Name} hold {identity.Path}", "hosts");
    }

    /// <summary>May this caller read a collection of the storage?</summary>
    public Verdict MayRead(SpiffeId caller, string collection)
    {
        var now = rules;
        if (now.Stranger(caller, caller) is { } refusal) return Verdict.Refused(refusal);
        return now.StoreOf(collection).Any(rule => rule.AllowsReading(caller))
            ? Verdict.Allowed
            : now.Missing($"{caller.Path} read collection '{collection}'", "store");
    }

    /// <summary>Does a version that this author has stamped <paramref name="at"/> count? A function of its arguments and the document alone, the same on every node.</summary>
    public Verdict MayWrite(SpiffeId author, string collection, DateTimeOffset at)
    {
        var now = rules;
        if (now.Stranger(author, author) is { } refusal) return Verdict.Refused(refusal);
        DateTimeOffset? ended = null;
        foreach (var rule in now.StoreOf(collection).Where(rule => rule.NamesWriter(author)))
        {
            if (rule.Until is not { } until || at < until) return Verdict.Allowed;
            if (ended is null || until > ended) ended = until;
        }
        return ended is null
            ? now.Missing($"{author.Path} write collection '{collection}'", "store")
            : Verdict.Refused($"Bounds version {now.Document.Version} let {author.Path} write collection '{collection}' until {ended:u}, and this is later; move until, or remove it, and sign again.");
    }

    /// <inheritdoc />
    public Verdict MayCoordinate(SpiffeId node)
    {
        var now = rules;
        if (now.Stranger(node, node) is { } refusal) return Verdict.Refused(refusal);
        if (node.Kind is not (IdentityKind.Node or IdentityKind.Vertex)) return Verdict.Refused($"Only nodes coordinate; {node.Path} is none.");
        return now.MayCoordinate(node.Name)
            ? Verdict.Allowed
            : Verdict.Refused($"Bounds version {now.Document.Version} do not let node {node.Name} have a coordinator; add it under coordinate and sign again.");
    }

    private sealed class Rules(BoundsDocument document)
    {
        // Asked for the vertex record of each of a thousand vertices.
        private readonly HashSet<string> coordinators = new(document.Coordinate, StringComparer.Ordinal);

        // Asked for each of thousands of service records: by node, not by scanning all.
        private readonly ILookup<string, HostRule> hosts = document.Hosts.ToLookup(rule => rule.Node, StringComparer.Ordinal);

        // Asked for every version that is read or replicated.
        private readonly ILookup<string, StoreRule> store = document.Store.ToLookup(rule => rule.Collection, StringComparer.Ordinal);

        public BoundsDocument Document { get; } = document;

        public IEnumerable<HostRule> HostsOf(string node) => hosts[node].Concat(hosts["*"]);

        public IEnumerable<StoreRule> StoreOf(string collection) => store[collection].Concat(store["*"]);

        public bool MayCoordinate(string node) => coordinators.Contains(node) || coordinators.Contains("*");

        /// <summary>What <c>coordinate</c> lets nodes do without a rule: speak with their own vertex, and coordinators with every vertex.</summary>
        public bool Coordinates(SpiffeId caller, SpiffeId target) =>
            coordinators.Count > 0 && caller.Kind == IdentityKind.Node && target.Kind == IdentityKind.Node && (caller == target || MayCoordinate(caller.Name));

        public Verdict Missing(string what, string key) => Verdict.Refused(
            $"Bounds version {Document.Version} have no rule that lets {what}; add it under {key} and sign again.");

        public string? Stranger(SpiffeId a, SpiffeId b)
        {
            var stranger = a.Cluster != Document.Cluster ? a : b.Cluster != Document.Cluster ? b : null;
            return stranger is null ? null : $"{stranger} is of another cluster than '{Document.Cluster}', and these bounds allow it nothing.";
        }
    }
}
