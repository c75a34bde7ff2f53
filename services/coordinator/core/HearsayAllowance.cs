using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>
/// How often a vertex is believed that a newer epoch exists than the coordinator's own vertex knows. An honest one says so once, and then the coordinator claims above it; one that is hostile
/// must not unseat every coordinator for ever.
/// </summary>
internal sealed class HearsayAllowance
{
    private const int MostTimes = 3;
    private const int MostVertices = 1024;

    private static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    private readonly Dictionary<string, (Instant Since, int Times)> believed = new(StringComparer.Ordinal);

    public bool Allows(string vertex, Instant now)
    {
        if (believed.Count >= MostVertices) believed.Clear();
        var (since, times) = believed.GetValueOrDefault(vertex);
        if (times == 0 || now - since >= Window) (since, times) = (now, 0);
        if (times >= MostTimes) return false;
        believed[vertex] = (since, times + 1);
        return true;
    }
}
