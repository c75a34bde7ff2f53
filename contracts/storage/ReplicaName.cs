using System.Diagnostics.CodeAnalysis;

namespace Florete.Storage.Contracts;

/// <summary>Name of a replica: that of its vertex, a DNS label (RFC 1123 §2.1). Ordered ordinally.</summary>
public readonly record struct ReplicaName : IComparable<ReplicaName>
{
    public const int MaxLength = 63;

    private readonly string? text;

    private ReplicaName(string text) => this.text = text;

    /// <exception cref="FormatException">It is no name of a vertex; the message says why.</exception>
    public static ReplicaName Parse(string text) => TryParse(text, out var name, out var problem) ? name : throw new FormatException(problem);

    public static bool TryParse(string? text, out ReplicaName name, [NotNullWhen(false)] out string? problem)
    {
        problem = Problem(text);
        name = problem is null ? new ReplicaName(text!) : default;
        return problem is null;
    }

    public int CompareTo(ReplicaName other) => string.CompareOrdinal(text, other.text);

    public override string ToString() => text ?? "";

    public static bool operator <(ReplicaName a, ReplicaName b) => a.CompareTo(b) < 0;

    public static bool operator >(ReplicaName a, ReplicaName b) => a.CompareTo(b) > 0;

    public static bool operator <=(ReplicaName a, ReplicaName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(ReplicaName a, ReplicaName b) => a.CompareTo(b) >= 0;

    private static string? Problem(string? text)
    {
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength) return $"The name of a replica must have 1 to {MaxLength} characters.";
        if (text[0] == '-' || text[^1] == '-') return $"Replica '{NameText.Shown(text)}': the name must not begin or end with '-'.";
        return NameText.FirstForeign(text, "-") is { } c ? $"Replica '{NameText.Shown(text)}': the name has {c}; allowed are a-z, 0-9 and '-'." : null;
    }
}
