using System.Diagnostics.CodeAnalysis;

namespace Florete.Storage.Contracts;

/// <summary>
/// Name of a unit of a document, the part that is written as one: 0 to 31 of <c>a-z 0-9 -</c>; the plain unit has the empty name. Ordered ordinally.
/// </summary>
public readonly record struct UnitName : IComparable<UnitName>
{
    public const int MaxLength = 31;

    private readonly string? text;

    // The empty name is the default value, so that the two are equal.
    private UnitName(string text) => this.text = text.Length == 0 ? null : text;

    /// <summary>The unit of a document that has only one.</summary>
    public static UnitName Plain => default;

    /// <exception cref="FormatException">It is no name of a unit; the message says why.</exception>
    public static UnitName Parse(string text) => TryParse(text, out var name, out var problem) ? name : throw new FormatException(problem);

    public static bool TryParse(string? text, out UnitName name, [NotNullWhen(false)] out string? problem)
    {
        problem = Problem(text);
        name = problem is null ? new UnitName(text!) : default;
        return problem is null;
    }

    public int CompareTo(UnitName other) => string.CompareOrdinal(ToString(), other.ToString());

    public override string ToString() => text ?? "";

    public static bool operator <(UnitName a, UnitName b) => a.CompareTo(b) < 0;

    public static bool operator >(UnitName a, UnitName b) => a.CompareTo(b) > 0;

    public static bool operator <=(UnitName a, UnitName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(UnitName a, UnitName b) => a.CompareTo(b) >= 0;

    private static string? Problem(string? text)
    {
        if (text is null || text.Length > MaxLength) return $"The name of a unit must have at most {MaxLength} characters.";
        return NameText.FirstForeign(text, "-") is { } c ? $"Unit '{NameText.Shown(text)}': the name has {c}; allowed are a-z, 0-9 and '-'." : null;
    }
}
