namespace Florete.Layers;

/// <summary>The share of a connection's packets that were lost, over the last windows of packets.</summary>
internal sealed class LossWindow
{
    // Long enough to tell 1 in 500 from luck, short enough to follow a changed path.
    private const long WindowPackets = 1024;

    private long sentAtStart;
    private long lostAtStart;
    private double previous;

    /// <summary>Takes the totals so far; returns the recent loss, 0 to 1.</summary>
    public double Update(long sent, long lost)
    {
        var inWindow = sent - sentAtStart;
        var current = inWindow <= 0 ? 0 : Math.Min(1, (double)(lost - lostAtStart) / Math.Max(inWindow, WindowPackets / 4));
        if (inWindow >= WindowPackets)
        {
            previous = current;
            sentAtStart = sent;
            lostAtStart = lost;
        }
        return Math.Max(previous, current);
    }
}
