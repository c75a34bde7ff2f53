using System.Diagnostics.CodeAnalysis;

namespace Florete.Storage.Contracts;

/// <summary>
/// Name of a document in its collection: 1 to 253 of <c>a-z 0-9 - . _ /</c>, no part between slashes empty, <c>.</c> or <c>..</c>, so that it is
/// itself in a URL. Ordered ordinally.
/// </summary>
public readonly record struct DocumentName : IComparable<DocumentName>
{
    public const int MaxLength = 253;

    private readonly string? text;

    private DocumentName(string text) => this.text = text;

    /// <exception cref="FormatException">It is no name of a document; the message says why.</exception>
    public static DocumentName Parse(string text) => TryParse(text, out var name, out var problem) ? name : throw new FormatException(problem);

    public static bool TryParse(string? text, out DocumentName name, [NotNullWhen(false)] out string? problem)
    {
        problem = Problem(text);
        name = problem is null ? new DocumentName(text!) : default;
        return problem is null;
    }

    public int CompareTo(DocumentName other) => string.CompareOrdinal(text, other.text);

    public override string ToString() => text ?? "";

    public static bool operator <(DocumentName a, DocumentName b) => a.CompareTo(b) < 0;

    public static bool operator >(DocumentName a, DocumentName b) => a.CompareTo(b) > 0;

    public static bool operator <=(DocumentName a, DocumentName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(DocumentName a, DocumentName b) => a.CompareTo(b) >= 0;

    private static string? Problem(string? text)
    {
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength) return $"The name of a document must have 1 to {MaxLength} characters.";
        if (NameText.FirstForeign(text, "-._/") is { } c)
        {
            return $"Document '{NameText.Shown(text)}': the name has {c}; allowed are a-z, 0-9, '-', '.', '_' and '/'.";
        }
        foreach (var range in text.AsSpan().Split('/'))
        {
            if (text.AsSpan()[range] is "" or "." or "..") return $"Document '{NameText.Shown(text)}': no part between slashes may be empty, '.' or '..'.";
        }
        return null;
    }
}
