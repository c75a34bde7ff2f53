using Florete.Ncs.Contracts;

namespace Florete.Ncs;

/// <summary>Tells a path in segments (RFC 8402), so that vertices that forward by shortest paths, any of several equal ones, follow it and no other.</summary>
internal static class Segments
{
    /// <summary>The fewest segments above the destination's; null: more than <see cref="NcsProtocol.MaxSegments"/>.</summary>
    /// <param name="network">Whose vertices forward.</param>
    /// <param name="path">Vertices that are linked one to the next; the ends included.</param>
    /// <param name="cancellationToken">Ends the computation.</param>
    public static IReadOnlyList<string>? Of(Network network, IReadOnlyList<int> path, CancellationToken cancellationToken)
    {
        // A stretch that is the only shortest path is made of such stretches, so to go as far as possible each time takes the fewest segments.
        var via = new List<string>();
        var segments = 0;
        for (var at = 0; at < path.Count - 1;)
        {
            var furthest = Furthest(network, path, at, cancellationToken);
            // The destination's own segment does the rest.
            if (furthest == path.Count - 1) break;
            if (++segments > NcsProtocol.MaxSegments) return null;
            if (furthest > at)
            {
                via.Add(network.Names[path[furthest]]);
                at = furthest;
                continue;
            }
            var link = $"{network.Names[path[at]]}>{network.Names[path[at + 1]]}";
            // A link's name leads to its beginning, too.
            if (via.Count > 0 && via[^1] == network.Names[path[at]]) via[^1] = link;
            else via.Add(link);
            at++;
        }
        return via;
    }

    private static int Furthest(Network network, IReadOnlyList<int> path, int at, CancellationToken cancellationToken)
    {
        var shortest = ShortestPaths.From(network, path[at], cancellationToken);
        long length = 0;
        for (var next = at + 1; next < path.Count; next++)
        {
            length += network.Find(path[next - 1], path[next]).Metric;
            if (shortest.Distance[path[next]] != length || !shortest.IsOnlyOne(path[next])) return next - 1;
        }
        return path.Count - 1;
    }
}
