namespace Florete.Identities;

/// <summary>Which known word somebody meant.</summary>
internal static class Nearest
{
    /// <summary>", did you mean 'x'?" for the closest word, or the list of all when none is close.</summary>
    public static string Suggest(string written, params IReadOnlyList<string> known)
    {
        var best = known.MinBy(word => Distance(written, word))!;
        return written.Length <= 64 && Distance(written, best) <= Math.Max(2, best.Length / 3)
            ? $"did you mean '{best}'?"
            : $"known are {string.Join(", ", known)}";
    }

    // Levenshtein; words are short.
    private static int Distance(string a, string b)
    {
        if (a.Length > 64) return int.MaxValue;
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitute, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }
}
