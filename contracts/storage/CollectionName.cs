using System.Diagnostics.CodeAnalysis;

namespace Florete.Storage.Contracts;

/// <summary>Name of a collection: 1 to 63 of <c>a-z 0-9 -</c>, beginning with a letter. Ordered ordinally.</summary>
public readonly record struct CollectionName : IComparable<CollectionName>
{
    public const int MaxLength = 63;

    private readonly string? text;

    private CollectionName(string text) => this.text = text;

    /// <exception cref="FormatException">It is no name of a collection; the message says why.</exception>
    public static CollectionName Parse(string text) => TryParse(text, out var name, out var problem) ? name : throw new FormatException(problem);

    public static bool TryParse(string? text, out CollectionName name, [NotNullWhen(false)] out string? problem)
    {
        problem = Problem(text);
        name = problem is null ? new CollectionName(text!) : default;
        return problem is null;
    }

    public int CompareTo(CollectionName other) => string.CompareOrdinal(text, other.text);

    public override string ToString() => text ?? "";

    public static bool operator <(CollectionName a, CollectionName b) => a.CompareTo(b) < 0;

    public static bool operator >(CollectionName a, CollectionName b) => a.CompareTo(b) > 0;

    public static bool operator <=(CollectionName a, CollectionName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(CollectionName a, CollectionName b) => a.CompareTo(b) >= 0;

    private static string? Problem(string? text)
    {
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength) return $"The name of a collection must have 1 to {MaxLength} characters.";
        if (!char.IsAsciiLetterLower(text[0])) return $"Collection '{NameText.Shown(text)}': the name must begin with a letter a-z.";
        return NameText.FirstForeign(text, "-") is { } c
            ? $"Collection '{NameText.Shown(text)}': the name has {c}; allowed are a-z, 0-9 and '-'."
            : null;
    }
}
