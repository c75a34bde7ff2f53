using Florete.Ncs.Contracts;

namespace Florete.Ncs.Tests;

/// <summary>Segments compared with all ways that packets can take.</summary>
public class SegmentsTests
{
    [Theory]
    [InlineData("ab1 bc1 cd1 da1", "abc", "b")]
    [InlineData("ab1 bc1 cd1 da1", "abcd", "b c")]
    [InlineData("ab1 bc1 cd1 da1", "ab", "")]
    [InlineData("ab9 bc1 ca1", "ab", "a>b")]
    [InlineData("ab1 bc9 cd1 db1", "abc", "b>c")]
    [InlineData("ab1 bc1 cd1 de1 ea1", "aedcb", "d")]
    public void A_path_is_told_in_the_fewest_words(string network, string path, string via)
    {
        var layer = SmallNetworks.Parse(network);
        Assert.Equal(via, string.Join(' ', Segments.Of(layer, [.. path.Select(c => layer.IndexOf(c.ToString()))], default)!));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Packets_take_that_path_and_no_other_and_fewer_segments_would_not_do(int seed)
    {
        var random = new Random(seed);
        var told = 0;
        for (var i = 0; i < 1200; i++)
        {
            var network = SmallNetworks.Random(random, 6);
            var (from, to) = (random.Next(network.Count), random.Next(network.Count));
            var paths = from == to ? [] : SmallNetworks.Paths(network, from, to).ToArray();
            if (paths.Length == 0) continue;
            var path = paths[random.Next(paths.Length)];
            var what = $"{string.Concat(path.Select(v => network.Names[v]))} in {SmallNetworks.Show(network)}";
            var ways = new Ways(network);
            if (Segments.Of(network, path, default) is not { } via)
            {
                Assert.True(ways.Fewest(path, NcsProtocol.MaxSegments) is null, what);
                continue;
            }
            told++;
            var labels = Labels(network, from, via);
            Assert.True(labels.Length <= NcsProtocol.MaxSegments, what);
            Assert.True(ways.Of(from, to, labels) is [var only] && only == string.Concat(path.Select(v => network.Names[v])), $"{string.Join(' ', via)}: {what}");
            Assert.True(ways.Fewest(path, labels.Length) == labels.Length, $"{string.Join(' ', via)}: {what}");
        }
        Assert.InRange(told, 400, 1200);
    }

    /// <summary>As a vertex translates: (-1, v) is the node segment of v, (u, v) the segment of the link.</summary>
    private static (int From, int To)[] Labels(Network network, int from, IReadOnlyList<string> via)
    {
        var labels = new List<(int, int)>();
        var at = from;
        foreach (var step in via)
        {
            var parts = step.Split('>').Select(network.IndexOf).ToArray();
            if (parts[0] != at) labels.Add((-1, parts[0]));
            if (parts.Length == 2) labels.Add((parts[0], parts[1]));
            at = parts[^1];
        }
        return [.. labels];
    }

    /// <summary>Where packets can go, any of equal paths.</summary>
    private sealed class Ways(Network network)
    {
        private readonly Dictionary<(int, int), string[]> shortest = [];

        /// <summary>Names of the vertices passed, one string a way.</summary>
        public string[] Of(int from, int to, (int From, int To)[] labels)
        {
            IEnumerable<string> ways = [network.Names[from]];
            var at = from;
            foreach (var (begin, end) in labels)
            {
                var next = begin < 0 ? Shortest(at, end) : begin == at ? [network.Names[end]] : [];
                ways = ways.SelectMany(w => next.Select(n => w + n)).ToArray();
                at = end;
            }
            return [.. ways.SelectMany(w => Shortest(at, to).Select(n => w + n)).Distinct()];
        }

        /// <summary>The least number of segments with which packets take exactly this path; null: more than <paramref name="most"/>.</summary>
        public int? Fewest(int[] path, int most)
        {
            var wanted = string.Concat(path.Select(v => network.Names[v]));
            for (var count = 0; count <= most; count++)
            {
                if (Try([], path[0], count)) return count;
            }
            return null;

            bool Try((int, int)[] labels, int at, int left)
            {
                var ways = Of(path[0], at, labels);
                if (ways.Length != 1 || !wanted.StartsWith(ways[0], StringComparison.Ordinal)) return false;
                if (left == 0) return Of(path[0], path[^1], labels) is [var only] && only == wanted;
                for (var v = 0; v < network.Count; v++)
                {
                    if (v != at && Try([.. labels, (-1, v)], v, left - 1)) return true;
                }
                foreach (var link in network.LinksOf(at).ToArray())
                {
                    if (Try([.. labels, (at, link.To)], link.To, left - 1)) return true;
                }
                return false;
            }
        }

        private string[] Shortest(int from, int to)
        {
            if (from == to) return [""];
            if (shortest.TryGetValue((from, to), out var known)) return known;
            var all = SmallNetworks.Paths(network, from, to).ToArray();
            var least = all.Length == 0 ? 0 : all.Min(p => SmallNetworks.LinksOf(network, p).Sum(static l => (long)l.Metric));
            return shortest[(from, to)] =
            [
                .. all.Where(p => SmallNetworks.LinksOf(network, p).Sum(static l => (long)l.Metric) == least).Select(p => string.Concat(p.Skip(1).Select(v => network.Names[v]))),
            ];
        }
    }
}
