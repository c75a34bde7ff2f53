using Florete.Layers;
using Florete.Links;
using Florete.Proxy.Configuration;

namespace Florete.Proxy;

/// <summary>Puts what the parts of a vertex know into one report.</summary>
internal static class VertexReports
{
    // The fates of datagrams that were not taken; the others say nothing against their sender.
    private static readonly DatagramFate[] Taken = [DatagramFate.Accepted, DatagramFate.Quic];

    public static VertexReport Make(LayerStatus layer, UdpPortStatus? port, long refusedHandshakes, UdpLinksConfiguration? configuration, CountingPortal? downs) => new(
        Links(layer, port, configuration, downs),
        [.. layer.Forwarding.Routes.Select(static r => new NextHopReport(
            r.Vertex.Path, [.. r.NextHops.Select(static n => n.Path)], r.Repair, r.MetricMicroseconds))],
        Services(layer.Services, layer.OutOfReach),
        Counters(layer, port, refusedHandshakes),
        layer.Directory.RevocationProblem,
        [.. layer.Forwarding.Paths.Select(static p => new PathReport(p.To.Path, [.. p.Via.Select(static step => step.ToString())], p.Problem is null, p.Problem))]);

    public static long? Microseconds(TimeSpan? time) => time is { } t ? (long)t.TotalMicroseconds : null;

    public static string CamelCase(string name) => char.ToLowerInvariant(name[0]) + name[1..];

    public static IReadOnlyList<ServiceReport> Services(IEnumerable<ServiceInstance> present, IEnumerable<ServiceInstance> outOfReach)
    {
        var (near, far) = (present.ToLookup(static s => s.Service), outOfReach.ToLookup(static s => s.Service));
        return [.. near.Select(static g => g.Key).Union(far.Select(static g => g.Key)).Order().Select(id => new ServiceReport(
            id.Path, Vertices(near[id]), far.Contains(id) ? Vertices(far[id]) : null))];

        static string[] Vertices(IEnumerable<ServiceInstance> of) => [.. of.Select(static s => s.Vertex.Path).Order(StringComparer.Ordinal)];
    }

    private static List<LinkReport> Links(LayerStatus layer, UdpPortStatus? port, UdpLinksConfiguration? configuration, CountingPortal? downs)
    {
        var configured = configuration?.Neighbours.ToDictionary(static n => n.Vertex) ?? [];
        var links = port?.Links.Where(static l => l.IsUp).GroupBy(static l => l.Neighbour).ToDictionary(static g => g.Key, static g => g.MinBy(static l => l.Age)!) ?? [];
        var neighbours = layer.Neighbours.GroupBy(static n => n.Neighbour).ToDictionary(static g => g.Key, static g => g.First());
        var reports = new List<LinkReport>();
        foreach (var id in configured.Keys.Union(links.Keys).Union(neighbours.Keys).Order())
        {
            var neighbour = neighbours.GetValueOrDefault(id);
            var known = configured.GetValueOrDefault(id);
            var link = links.GetValueOrDefault(id);
            var state = neighbour is { Links: > 0 } ? "up" : neighbour is { IsDialled: true, FailedDials: 0 } ? "connecting" : "down";
            var reason = state == "up" ? null : neighbour?.LastError ?? (known is { Addresses.Count: 0 } ? "It has no address here, so it must connect to this node." : null);
            reports.Add(new LinkReport(
                id.Path, state, link?.Address ?? (known is { Addresses.Count: > 0 } ? known.Addresses[0] : null), Microseconds(link?.RoundTrip), link?.SendingLoss ?? 0,
                link?.CapacityBitsPerSecond ?? known?.CapacityBitsPerSecond, downs?.DownsOf(id) ?? 0, reason,
                (long?)link?.Age.TotalMilliseconds, (long?)link?.DetectionTime.TotalMilliseconds));
        }
        return reports;
    }

    private static SortedDictionary<string, long> Counters(LayerStatus layer, UdpPortStatus? port, long refusedHandshakes)
    {
        var counters = new SortedDictionary<string, long>(StringComparer.Ordinal)
        {
            ["forwarding.received"] = layer.Packets.Received,
            ["forwarding.forwarded"] = layer.Packets.Forwarded,
            ["forwarding.delivered"] = layer.Packets.Delivered,
            ["forwarding.sent"] = layer.Packets.Sent,
            ["forwarding.repaired"] = layer.Packets.Repaired,
            ["directory.accepted"] = layer.Directory.Accepted,
            ["directory.records"] = layer.Directory.Records,
            ["directory.droppedRevoked"] = layer.Directory.DroppedRevoked,
        };
        foreach (var reason in Enum.GetValues<DropReason>()) counters[$"forwarding.dropped.{CamelCase(reason.ToString())}"] = layer.Packets.Dropped(reason);
        foreach (var (reason, count) in layer.Directory.Refused) counters[$"directory.refused.{CamelCase(reason.ToString())}"] = count;
        foreach (var (name, count) in layer.Transport.Counters) counters[$"transport.{CamelCase(name)}"] = count;
        if (port is null) return counters;
        counters["link.refusedHandshakes"] = refusedHandshakes;
        counters["link.received"] = port.ReceivedDatagrams;
        counters["link.halfOpenHandshakes"] = port.HalfOpenHandshakes;
        foreach (var (fate, count) in port.Fates)
        {
            counters[Taken.Contains(fate) ? $"link.{CamelCase(fate.ToString())}" : $"link.rejected.{CamelCase(fate.ToString())}"] = count;
        }
        return counters;
    }
}
