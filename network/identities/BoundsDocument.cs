using System.Diagnostics.CodeAnalysis;

namespace Florete.Identities;

/// <summary>
/// What the operator allows, as written (docs/protocols/bounds.md). Immutable and well-formed; a node obeys it only after its signature is
/// verified (<see cref="SignedBounds"/>).
/// </summary>
/// <param name="Version">Grows with every change; at least 1.</param>
/// <param name="Cluster">The cluster that it is for.</param>
/// <param name="Links">Which vertices may form links.</param>
/// <param name="Hosts">Which node may hold which identities.</param>
/// <param name="Connect">Who may connect to whom.</param>
/// <param name="Store">Who may read and write which collection of the storage.</param>
public sealed record BoundsDocument(
    long Version, string Cluster, IReadOnlyList<LinkRule> Links, IReadOnlyList<HostRule> Hosts, IReadOnlyList<ConnectRule> Connect, IReadOnlyList<StoreRule> Store)
{
    /// <summary>Names of the nodes that may have the coordinator of their group; <c>*</c>: every node. Empty: there is none.</summary>
    public IReadOnlyList<string> Coordinate { get; init; } = [];

    /// <summary>A text larger than this is refused unread.</summary>
    public const int MaxBytes = 1024 * 1024;

    /// <summary>Parses and validates the whole text.</summary>
    /// <param name="yaml">The text of a bounds file.</param>
    /// <param name="source">What to call it in problems: the file's name.</param>
    /// <param name="bounds">The document, if there is no problem.</param>
    /// <param name="problems">All problems, each <c>file:line: what; remedy</c>.</param>
    public static bool TryParse(
        string yaml, string source, [NotNullWhen(true)] out BoundsDocument? bounds, out IReadOnlyList<string> problems)
    {
        var reader = new BoundsReader(source);
        bounds = reader.Read(yaml);
        problems = reader.Problems;
        if (problems.Count > 0) bounds = null;
        return bounds is not null;
    }

    /// <summary>The services, workloads and users that it lets a node hold by name; patterns name nobody.</summary>
    public IReadOnlyList<SpiffeId> HeldByName(string node) =>
    [
        .. Hosts.Where(rule => rule.Node == "*" || rule.Node == node).SelectMany(static rule => rule.Identities)
            .Where(static pattern => pattern is { Kind: IdentityKind.Service or IdentityKind.Workload or IdentityKind.User, Name: not "*" })
            .Select(pattern => SpiffeId.Of(Cluster, pattern.Kind!.Value, pattern.Name)).Distinct(),
    ];

    /// <exception cref="IdentityException">The file cannot be read or has problems; the message lists all.</exception>
    public static BoundsDocument Load(string file)
    {
        var text = SvidFiles.ReadText(file, "bounds file", MaxBytes);
        return TryParse(text, file, out var bounds, out var problems) ? bounds : throw new IdentityException(string.Join(Environment.NewLine, problems));
    }
}

/// <summary>Two vertices that may form a link, in either direction; <c>*</c> is any.</summary>
public sealed record LinkRule(string A, string B)
{
    public bool Allows(string a, string b) => (Is(A, a) && Is(B, b)) || (Is(A, b) && Is(B, a));

    private static bool Is(string pattern, string name) => pattern == "*" || pattern == name;
}

/// <summary>Identities that the node of a vertex may hold; node <c>*</c> is any.</summary>
public sealed record HostRule(string Node, IReadOnlyList<IdentityPattern> Identities)
{
    public bool Allows(string node, SpiffeId identity) => (Node == "*" || Node == node) && Identities.Any(pattern => pattern.Matches(identity));
}

/// <summary>Callers and the targets that they may connect to.</summary>
public sealed record ConnectRule(IReadOnlyList<IdentityPattern> From, IReadOnlyList<IdentityPattern> To)
{
    public bool Allows(SpiffeId caller, SpiffeId target) => From.Any(pattern => pattern.Matches(caller)) && To.Any(pattern => pattern.Matches(target));
}

/// <summary>Who may read a collection of the storage, and whose versions of its documents count; collection <c>*</c> is any.</summary>
/// <param name="Collection">Its name.</param>
/// <param name="Read">Who may read it.</param>
/// <param name="Write">Whose versions are valid.</param>
/// <param name="Until">Versions with this stamp or a later one are not valid by this rule; null: no end. Reading has none.</param>
public sealed record StoreRule(string Collection, IReadOnlyList<IdentityPattern> Read, IReadOnlyList<IdentityPattern> Write, DateTimeOffset? Until)
{
    public bool AllowsReading(SpiffeId caller) => Read.Any(pattern => pattern.Matches(caller));

    /// <summary>Is this one of its writers, whenever?</summary>
    public bool NamesWriter(SpiffeId author) => Write.Any(pattern => pattern.Matches(author));
}

/// <summary><c>service/hello</c>, <c>service/*</c>, or <c>*</c>: any service, workload or user.</summary>
/// <param name="Kind">Null for <c>*</c>.</param>
/// <param name="Name"><c>*</c> for any.</param>
public sealed record IdentityPattern(IdentityKind? Kind, string Name)
{
    public static bool TryParse(string text, [NotNullWhen(true)] out IdentityPattern? pattern, [NotNullWhen(false)] out string? error)
    {
        (pattern, error) = (null, null);
        if (text == "*")
        {
            pattern = new IdentityPattern(null, "*");
            return true;
        }
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            error = $"'{text}' is not an identity; write <kind>/<name>, as in service/{(text.Length is > 0 and < 64 ? text : "hello")}";
            return false;
        }
        if (!IdentityKinds.TryParse(text.AsSpan(0, slash), out var kind))
        {
            error = $"'{text[..slash]}' is not a kind; {Nearest.Suggest(text[..slash], Enum.GetValues<IdentityKind>().Select(k => k.Word()).ToArray())}";
            return false;
        }
        var name = text[(slash + 1)..];
        if (name != "*" && !SpiffeId.TryParse($"spiffe://x/{kind.Word()}/{name}", out _, out _))
        {
            error = $"'{name}' is not a name; use 1 to 63 of a-z, 0-9 and '-', or '*'";
            return false;
        }
        pattern = new IdentityPattern(kind, name);
        return true;
    }

    public bool Matches(SpiffeId id) => Kind is null
        ? id.Kind is IdentityKind.Service or IdentityKind.Workload or IdentityKind.User
        : id.Kind == Kind && (Name == "*" || Name == id.Name);

    public override string ToString() => Kind is null ? "*" : $"{Kind.Value.Word()}/{Name}";
}
