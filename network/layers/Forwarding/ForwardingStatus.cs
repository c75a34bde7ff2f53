using System.Diagnostics.Metrics;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>The engine's tables at one moment, for people; immutable.</summary>
/// <param name="Segment">The own node segment; null: none yet.</param>
/// <param name="IsHolding">Repairs are in use after a failure, new next hops wait.</param>
/// <param name="Adjacencies">The standing adjacencies.</param>
/// <param name="Routes">By identity of the destination.</param>
/// <param name="Paths">What is decided otherwise, by identity of the destination.</param>
public sealed record ForwardingStatus(
    Label? Segment, bool IsHolding, IReadOnlyList<AdjacencyStatus> Adjacencies, IReadOnlyList<RouteStatus> Routes, IReadOnlyList<DecidedPathStatus> Paths);

/// <param name="Neighbour">The other end.</param>
/// <param name="Segment">The adjacency segment.</param>
/// <param name="MetricMicroseconds">As advertised.</param>
/// <param name="LossPartsPerMillion">As advertised.</param>
/// <param name="CapacityBitsPerSecond">As advertised; 0: unknown.</param>
public sealed record AdjacencyStatus(SpiffeId Neighbour, Label Segment, uint MetricMicroseconds, uint LossPartsPerMillion, ulong CapacityBitsPerSecond);

/// <param name="Vertex">The destination.</param>
/// <param name="Segment">Its node segment.</param>
/// <param name="MetricMicroseconds">Of the best path.</param>
/// <param name="Hops">Links to pass.</param>
/// <param name="NextHops">Neighbours of equal cost.</param>
/// <param name="Repair">For people: the way when the next hop is lost, such as "by c, segments 17 4711, against loss of the vertex"; null: none.</param>
public sealed record RouteStatus(SpiffeId Vertex, Label Segment, long MetricMicroseconds, int Hops, IReadOnlyList<SpiffeId> NextHops, string? Repair);

public sealed partial class ForwardingEngine
{
    /// <summary>The tables as they are now. Call inside a turn.</summary>
    public ForwardingStatus Status() => new(
        segment,
        IsHolding,
        [.. Adjacencies.OrderBy(static a => a.Neighbour).Select(static a =>
            new AdjacencyStatus(a.Neighbour, a.Segment, a.MetricMicroseconds, a.LossPartsPerMillion, a.CapacityBitsPerSecond))],
        [.. table.Routes.OrderBy(static r => r.Id).Select(static r =>
            new RouteStatus(r.Id, r.Segment, r.Figures.MetricMicroseconds, r.Figures.Hops, [.. r.NextHops.Select(static n => n.Id)], Describe(r)))],
        decided.Status());

    /// <summary>Publishes <see cref="Counters"/> as observable counters of a meter; they end with it.</summary>
    public void Publish(Meter meter)
    {
        var vertex = new KeyValuePair<string, object?>("vertex", Self.ToString());
        Measurement<long> Of(long value, string key, string name) => new(value, vertex, new(key, name));
        meter.CreateObservableCounter("florete.forwarding.packets", () => new[]
        {
            Of(Counters.Received, "way", "received"),
            Of(Counters.Forwarded, "way", "forwarded"),
            Of(Counters.Delivered, "way", "delivered"),
            Of(Counters.Sent, "way", "sent"),
            Of(Counters.Repaired, "way", "repaired"),
        }, "{packet}");
        meter.CreateObservableCounter(
            "florete.forwarding.dropped",
            () => Enum.GetValues<DropReason>().Select(reason => Of(Counters.Dropped(reason), "reason", reason.ToString())),
            "{packet}");
    }

    private static string? Describe(Route route)
    {
        if (route.Repair is not { } repair) return route.NextHops.Length > 1 ? "the other next hops" : null;
        var segments = repair.Segments.Length == 0 ? "" : $", segments {string.Join(' ', repair.Segments)}";
        return $"by {repair.FirstHop.Id.Name}{segments}, against loss of the {(repair.Protection == Protection.Vertex ? "vertex" : "link")}";
    }
}
