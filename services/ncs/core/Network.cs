using System.Diagnostics.CodeAnalysis;
using Florete.Ncs.Contracts;

namespace Florete.Ncs;

/// <param name="From">Name of the vertex where it begins.</param>
/// <param name="To">Name of the vertex where it ends.</param>
/// <param name="MetricMicroseconds">In this direction; at least 1.</param>
/// <param name="CapacityBitsPerSecond">In this direction; 0: unknown.</param>
public readonly record struct NetworkLink(string From, string To, uint MetricMicroseconds, ulong CapacityBitsPerSecond);

/// <summary>
/// Vertices and links of a layer in arrays, for computations. Vertices by index in the order of their names; links of one vertex side by side. A link counts when both directions
/// are there, as for the vertices themselves; of parallel ones the cheapest does. Immutable.
/// </summary>
public sealed class Network
{
    private readonly Dictionary<string, int> indexes;
    private readonly int[] first;

    private Network(string[] names, Dictionary<string, int> indexes, Link[] links, int[] first) => (Names, this.indexes, Links, this.first) = (names, indexes, links, first);

    public int Count => Names.Length;

    public IReadOnlyList<string> Vertices => Names;

    /// <summary>In one direction each.</summary>
    public int LinkCount => Links.Length;

    internal string[] Names { get; }

    internal Link[] Links { get; }

    /// <returns>False: it is larger than allowed, and <paramref name="problem"/> says so.</returns>
    public static bool TryCreate(
        IReadOnlyCollection<string> vertices, IReadOnlyCollection<NetworkLink> links, [NotNullWhen(true)] out Network? network, [NotNullWhen(false)] out string? problem)
    {
        network = null;
        problem = vertices.Count > NcsProtocol.MaxVertices ? $"{vertices.Count} vertices; at most {NcsProtocol.MaxVertices} are possible."
            : links.Count > NcsProtocol.MaxTopologyLinks ? $"{links.Count} links; at most {NcsProtocol.MaxTopologyLinks} are possible." : null;
        if (problem is not null) return false;
        var names = vertices.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var indexes = new Dictionary<string, int>(names.Length, StringComparer.Ordinal);
        foreach (var name in names) indexes.Add(name, indexes.Count);
        var cheapest = new Dictionary<(int From, int To), NetworkLink>();
        foreach (var link in links)
        {
            if (!indexes.TryGetValue(link.From, out var from) || !indexes.TryGetValue(link.To, out var to) || from == to) continue;
            if (!cheapest.TryGetValue((from, to), out var other) || link.MetricMicroseconds < other.MetricMicroseconds) cheapest[(from, to)] = link;
        }
        var both = cheapest.Where(l => cheapest.ContainsKey((l.Key.To, l.Key.From))).OrderBy(static l => l.Key).ToArray();
        var first = new int[names.Length + 1];
        foreach (var (key, _) in both) first[key.From + 1]++;
        for (var v = 0; v < names.Length; v++) first[v + 1] += first[v];
        network = new Network(
            names, indexes, [.. both.Select(static l => new Link(l.Key.From, l.Key.To, Math.Max(1, l.Value.MetricMicroseconds), l.Value.CapacityBitsPerSecond))], first);
        return true;
    }

    /// <summary>-1: there is no such vertex.</summary>
    internal int IndexOf(string name) => indexes.GetValueOrDefault(name, -1);

    internal ReadOnlySpan<Link> LinksOf(int vertex) => Links.AsSpan(first[vertex]..first[vertex + 1]);

    internal Link Find(int from, int to)
    {
        foreach (ref readonly var link in LinksOf(from))
        {
            if (link.To == to) return link;
        }
        throw new ArgumentException($"There is no link {from}-{to}.");
    }
}

/// <summary>One direction of a link.</summary>
internal readonly record struct Link(int From, int To, uint Metric, ulong Capacity);
