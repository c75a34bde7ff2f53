using System.Diagnostics.CodeAnalysis;

namespace Florete.Identities;

/// <summary>What an identity names; the first path segment of its SPIFFE ID.</summary>
public enum IdentityKind
{
    Node,
    Vertex,
    Service,
    Workload,
    User,
    Operator,
}

/// <summary>
/// A SPIFFE ID of the form <c>spiffe://&lt;cluster&gt;/&lt;kind&gt;/&lt;name&gt;</c> (SPIFFE-ID §2, narrowed to two path segments).
/// Parsed once at the edge; a value of this type is always well-formed. Ordered by its text, ordinally.
/// </summary>
public sealed record SpiffeId : IComparable<SpiffeId>
{
    /// <summary>Longest SPIFFE ID that must be supported (SPIFFE-ID §2.3: 2048); ours are far shorter.</summary>
    public const int MaxLength = 255;

    private const string Scheme = "spiffe://";

    private SpiffeId(string text, string cluster, IdentityKind kind, string name)
    {
        Text = text;
        Cluster = cluster;
        Kind = kind;
        Name = name;
    }

    /// <summary>The trust domain.</summary>
    public string Cluster { get; }

    public IdentityKind Kind { get; }

    public string Name { get; }

    /// <summary>The identity within its cluster: <c>service/hello</c>.</summary>
    public string Path => $"{Kind.Word()}/{Name}";

    private string Text { get; }

    /// <exception cref="FormatException">A part is not well-formed; the message says which and why.</exception>
    public static SpiffeId Of(string cluster, IdentityKind kind, string name) => Parse(Compose(cluster, kind, name));

    /// <exception cref="FormatException">The text is not a SPIFFE ID of ours; the message says what is wrong.</exception>
    public static SpiffeId Parse(string text) => TryParse(text, out var id, out var error) ? id : throw new FormatException(error);

    public static bool TryParse(string? text, [NotNullWhen(true)] out SpiffeId? id, [NotNullWhen(false)] out string? error)
    {
        id = null;
        error = Problem(text, out var cluster, out var kind, out var name);
        if (error is not null) return false;
        id = new SpiffeId(Compose(cluster, kind, name), cluster, kind, name);
        return true;
    }

    public int CompareTo(SpiffeId? other) => string.CompareOrdinal(Text, other?.Text);

    public static bool operator <(SpiffeId a, SpiffeId b) => a.CompareTo(b) < 0;

    public static bool operator >(SpiffeId a, SpiffeId b) => a.CompareTo(b) > 0;

    public static bool operator <=(SpiffeId a, SpiffeId b) => a.CompareTo(b) <= 0;

    public static bool operator >=(SpiffeId a, SpiffeId b) => a.CompareTo(b) >= 0;

    public bool Equals(SpiffeId? other) => other is not null && Text == other.Text;

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;

    private static string Compose(string cluster, IdentityKind kind, string name) => $"{Scheme}{cluster}/{kind.Word()}/{name}";

    private static string? Problem(string? text, out string cluster, out IdentityKind kind, out string name)
    {
        (cluster, kind, name) = ("", default, "");
        if (string.IsNullOrEmpty(text)) return "A SPIFFE ID is empty; write spiffe://<cluster>/<kind>/<name>.";
        if (text.Length > MaxLength) return $"A SPIFFE ID has {text.Length} characters; at most {MaxLength} are allowed.";
        if (!text.StartsWith(Scheme, StringComparison.Ordinal)) return $"'{text}' does not begin with {Scheme}.";
        var parts = text[Scheme.Length..].Split('/');
        if (parts.Length != 3) return $"'{text}' is not of the form spiffe://<cluster>/<kind>/<name>.";
        cluster = parts[0];
        name = parts[2];
        if (NameProblem(cluster) is { } wrongCluster) return $"'{text}': the cluster {wrongCluster}.";
        if (NameProblem(name) is { } wrongName) return $"'{text}': the name {wrongName}.";
        if (IdentityKinds.TryParse(parts[1], out kind)) return null;
        return $"'{text}': '{parts[1]}' is not a kind; use node, vertex, service, workload, user or operator.";
    }

    // DNS labels (RFC 1123 §2.1), because names are also SNI and `<name>.rete`.
    private static string? NameProblem(string part)
    {
        if (part.Length is 0 or > 63) return "must have 1 to 63 characters";
        if (part[0] == '-' || part[^1] == '-') return "must not begin or end with '-'";
        foreach (var c in part)
        {
            if (c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')) return $"has '{c}'; allowed are a-z, 0-9 and '-'";
        }
        return null;
    }
}
