using System.Diagnostics.Metrics;

namespace Florete.Links;

/// <summary>Figures of a portal for <see cref="System.Diagnostics.Metrics"/>, meter <c>Florete.Links</c>. Read when asked; the hot path knows nothing of it.</summary>
public sealed class LinkMetrics : IDisposable
{
    public const string MeterName = "Florete.Links";
    private readonly Meter meter = new(MeterName);

    public LinkMetrics(UdpLinkPortal portal)
    {
        var place = new KeyValuePair<string, object?>("port", portal.Local.ToString());
        var fates = Enum.GetValues<DatagramFate>();
        meter.CreateObservableCounter(
            "florete.link.datagrams.received",
            () => fates.Select(fate => new Measurement<long>(portal.Counters[fate], place, new("fate", fate.ToString()))),
            "{datagram}", "Received datagrams by what became of them.");
        meter.CreateObservableUpDownCounter(
            "florete.link.segments.pending", () => new Measurement<long>(portal.Counters.Pending, place), "{segment}", "Segments that wait for the rest of their SDU.");
        meter.CreateObservableUpDownCounter("florete.link.links", () => new Measurement<int>(portal.LinkCount, place), "{link}", "Links that are there.");
        meter.CreateObservableCounter(
            "florete.link.joins",
            () => new Measurement<long>[]
            {
                new(portal.Joins.Answered, place, new("outcome", "answered")),
                new(portal.Joins.Refused, place, new("outcome", "refused")),
                new(portal.Joins.Busy, place, new("outcome", "busy")),
                new(portal.Joins.TimedOut, place, new("outcome", "timedOut")),
                new(portal.Joins.Broken, place, new("outcome", "broken")),
            },
            "{join}", "Strangers' joins by how they ended.");
    }

    public void Dispose() => meter.Dispose();
}
