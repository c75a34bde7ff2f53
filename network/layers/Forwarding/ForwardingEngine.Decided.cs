using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Paths that the control plane wants otherwise than the best ones, and what the paths in use are like.</summary>
public sealed partial class ForwardingEngine
{
    private readonly DecidedPaths decided;

    /// <summary>
    /// Replaces the decided paths. Packets that this vertex makes for users, and its probes, take them; directory messages, OAM answers and transit do not.
    /// Call inside a turn.
    /// </summary>
    /// <exception cref="ArgumentException">A path is not one, or there are too many; nothing has changed.</exception>
    public void SetPaths(IReadOnlyList<DecidedPath> paths)
    {
        decided.Set(paths, table);
        ApplyDecided();
        PathsChanged?.Invoke();
    }

    /// <summary>The decided paths, by identity of the destination, and whether they are in use. Call inside a turn.</summary>
    public IReadOnlyList<DecidedPathStatus> DecidedPaths => decided.Status();

    /// <summary>What the path to a vertex is like that packets take now, decided or best; null: there is none.</summary>
    public PathQuality? QualityTo(SpiffeId vertex)
    {
        if (vertex == Self) return new PathQuality(0, 0, 0, 0, PacketBuffer.CapacityBytes, PacketBuffer.CapacityBytes);
        if (table.Find(vertex) is not { } route) return null;
        var path = route.Decided;
        if (FirstLink(path, route) is not var (largest, unsegmented)) return null;
        var figures = path is null ? route.Figures : table.FiguresOf(path);
        return new PathQuality(figures.MetricMicroseconds, figures.Hops, figures.LossPartsPerMillion, figures.CapacityBitsPerSecond, largest, unsegmented)
        {
            PushedSegments = path?.Segments.Length ?? 0,
        };
    }

    /// <summary>Sizes of what the first link takes: the least of equal next hops.</summary>
    private (int Largest, int Unsegmented)? FirstLink(PathInUse? path, Route route)
    {
        if (path is { Legs: [var first, ..] })
        {
            var next = table.Graph.Vertices[first.To].Id;
            if (first.IsLink && neighbours.TryGetValue(next, out var links) && links.Best is { } link) return (link.Flow.MaxDatagramBytes, link.Flow.UnsegmentedDatagramBytes);
            if (table.Find(next) is not { } leg) return null;
            route = leg;
        }
        int largest = int.MaxValue, unsegmented = int.MaxValue;
        foreach (var hop in route.NextHops)
        {
            if (hop.Best is not { } adjacency) continue;
            largest = Math.Min(largest, adjacency.Flow.MaxDatagramBytes);
            unsegmented = Math.Min(unsegmented, adjacency.Flow.UnsegmentedDatagramBytes);
        }
        if (largest != int.MaxValue) return (largest, unsegmented);
        return route.Repair?.FirstHop.Best is { } repair ? (repair.Flow.MaxDatagramBytes, repair.Flow.UnsegmentedDatagramBytes) : null;
    }

    private void ApplyDecided()
    {
        if (!decided.IsEmpty) decided.Apply(table, pending ?? table.Topology, lost);
    }
}
