using Florete.Ncs.Contracts;

namespace Florete.Ncs.Tests;

/// <summary>Networks small enough to try everything.</summary>
internal static class SmallNetworks
{
    public static Network Make(params NetworkLink[] links)
    {
        var names = links.SelectMany(static l => new[] { l.From, l.To }).Distinct().ToArray();
        Assert.True(Network.TryCreate(names, links, out var network, out var problem), problem);
        return network;
    }

    /// <summary>The same in both directions: <c>ab1 bc1</c>.</summary>
    public static Network Parse(string text) => Make([.. text.Split(' ').SelectMany(static t => new[]
    {
        new NetworkLink(t[..1], t[1..2], uint.Parse(t[2..]), 0), new NetworkLink(t[1..2], t[..1], uint.Parse(t[2..]), 0),
    })]);

    /// <summary>Vertices a, b, …; metrics and capacities of the two directions differ; many metrics are equal in one of three.</summary>
    public static Network Random(Random random, int most)
    {
        var count = random.Next(2, most + 1);
        var metrics = random.Next(3) switch { 0 => 1, 1 => 4, _ => 50 };
        var names = Enumerable.Range(0, count).Select(Name).ToArray();
        var links = new List<NetworkLink>();
        var density = random.NextDouble();
        for (var a = 0; a < count; a++)
        {
            for (var b = a + 1; b < count; b++)
            {
                if (random.NextDouble() > density) continue;
                links.Add(new NetworkLink(names[a], names[b], (uint)random.Next(1, metrics + 1), (ulong)random.Next(4)));
                links.Add(new NetworkLink(names[b], names[a], (uint)random.Next(1, metrics + 1), (ulong)random.Next(4)));
            }
        }
        Assert.True(Network.TryCreate(names, links, out var network, out var problem), problem);
        return network;
    }

    public static string Name(int vertex) => ((char)('a' + vertex)).ToString();

    /// <summary>All paths without a vertex twice.</summary>
    public static IEnumerable<int[]> Paths(Network network, int from, int to)
    {
        var path = new List<int> { from };
        return Walk(from);

        IEnumerable<int[]> Walk(int at)
        {
            if (at == to)
            {
                yield return [.. path];
                yield break;
            }
            foreach (var link in network.LinksOf(at).ToArray())
            {
                if (path.Contains(link.To)) continue;
                path.Add(link.To);
                foreach (var found in Walk(link.To)) yield return found;
                path.RemoveAt(path.Count - 1);
            }
        }
    }

    public static string Show(Network network) => string.Join(' ', network.Links.Select(l => $"{network.Names[l.From]}>{network.Names[l.To]}:{l.Metric}/{l.Capacity}"));

    public static IEnumerable<Link> LinksOf(Network network, int[] path) => path.Skip(1).Select((to, i) => network.Find(path[i], to));

    public static int[] Indexes(Network network, ComputedPath path) => [.. path.Vertices.Select(network.IndexOf)];
}
