using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>One standing link: its connection, its adjacency, and the damping of its metric.</summary>
internal sealed class LinkRecord
{
    private readonly EventLoop loop;
    private readonly TimeSpan metricInterval;
    private readonly Action<Adjacency> changed;
    private readonly LoopTimer metricTimer;
    private LinkMetric told;
    private Instant toldAt;
    private bool isMeasured;

    public LinkRecord(EventLoop loop, PortalConnection connection, Adjacency adjacency, TimeSpan metricInterval, Action<Adjacency> changed)
    {
        this.loop = loop;
        this.metricInterval = metricInterval;
        this.changed = changed;
        Connection = connection;
        Adjacency = adjacency;
        Since = loop.Now;
        metricTimer = loop.CreateTimer(Measure);
        Tell(LinkMetric.Of(adjacency.Flow.Quality));
        isMeasured = adjacency.Flow.Quality.RoundTrip is not null;
        adjacency.QualityChanged = _ => Measure();
    }

    public PortalConnection Connection { get; }

    public Adjacency Adjacency { get; }

    public Instant Since { get; }

    /// <summary>Set when a newer link replaces this one.</summary>
    public LoopTimer? Retirement { get; set; }

    public CancellationTokenRegistration OnClosed { get; set; }

    public void Stop()
    {
        Adjacency.QualityChanged = null;
        metricTimer.Cancel();
        Retirement?.Cancel();
        OnClosed.Dispose();
    }

    private void Measure()
    {
        var quality = Adjacency.Flow.Quality;
        var metric = LinkMetric.Of(quality);
        // The first measurement replaces a guess; it does not wait.
        var isFirst = !isMeasured && quality.RoundTrip is not null;
        isMeasured |= isFirst;
        if (!isFirst && !metric.IsNewsAfter(told)) return;
        if (!isFirst && toldAt + metricInterval > loop.Now)
        {
            if (!metricTimer.IsSet) metricTimer.Set(toldAt + metricInterval);
            return;
        }
        if (metric == told) return;
        Tell(metric);
        changed(Adjacency);
    }

    private void Tell(LinkMetric metric)
    {
        told = metric;
        toldAt = loop.Now;
        Adjacency.MetricMicroseconds = metric.MetricMicroseconds;
        Adjacency.LossPartsPerMillion = metric.LossPartsPerMillion;
        Adjacency.CapacityBitsPerSecond = metric.CapacityBitsPerSecond;
    }
}
