using System.Globalization;

namespace Florete.Storage.Contracts;

/// <summary>What the rules of all names share.</summary>
internal static class NameText
{
    /// <summary>The first character that is none of <c>a-z 0-9</c> and <paramref name="others"/>, as a message shows it; null if there is none.</summary>
    public static string? FirstForeign(string text, string others)
    {
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && !others.Contains(c, StringComparison.Ordinal)) return Shown(c);
        }
        return null;
    }

    /// <summary>A name that may be hostile, for a message: short, and with nothing that a terminal obeys.</summary>
    public static string Shown(string text) => string.Concat(text.Take(80).Select(static c => c is >= ' ' and <= '~' ? c : '?'));

    private static string Shown(char c) => c is >= ' ' and <= '~' ? $"'{c}'" : string.Create(CultureInfo.InvariantCulture, $"U+{(int)c:X4}");
}
