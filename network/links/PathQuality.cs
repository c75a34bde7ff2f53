using Florete.Portals;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>What is measured of a link: round trip, loss in both directions. Pure.</summary>
internal sealed class PathQuality(long? capacityBitsPerSecond)
{
    // A window is closed when it is old and large enough to say something.
    private static readonly TimeSpan Window = TimeSpan.FromMilliseconds(500);
    private const ulong WindowSegments = 20;

    // News below these are no news: a fifth of the round trip (and 500 µs), half of the loss (and two in a thousand).
    private const double RoundTripStep = 0.2, LossStep = 0.5, LeastLossStep = 0.002;
    private static readonly TimeSpan LeastRoundTripStep = TimeSpan.FromMicroseconds(500);
    private static readonly TimeSpan Damping = TimeSpan.FromMilliseconds(500);

    private LossWindow sending;
    private LossWindow receiving;
    private TimeSpan? roundTrip;
    private FlowQuality told = new(null, 0, capacityBitsPerSecond);
    private Instant toldAt;

    public FlowQuality Current => new(roundTrip, sending.Loss, capacityBitsPerSecond);

    /// <summary>Smallest round trip seen.</summary>
    public TimeSpan? LeastRoundTrip { get; private set; }

    public double ReceivingLoss => receiving.Loss;

    /// <summary>Loss in the receiving direction with doubt: few samples look worse than they are.</summary>
    public double PessimisticReceivingLoss => Math.Max(receiving.Loss, (receiving.TotalLost + 1.0) / (receiving.TotalSegments + 50.0));

    public void OnRoundTrip(TimeSpan sample)
    {
        if (sample < TimeSpan.Zero || sample > TimeSpan.FromSeconds(60)) return;
        LeastRoundTrip = LeastRoundTrip is { } least && least < sample ? least : sample;
        roundTrip = roundTrip is { } smoothed ? smoothed + ((sample - smoothed) / 8) : sample;
    }

    /// <summary>The neighbour's report: totals of what it received from us.</summary>
    public void OnSendingReport(ulong received, ulong lost, Instant now) => sending.Update(received, lost, now, Window, WindowSegments);

    /// <summary>Our own totals of what came from the neighbour.</summary>
    public void OnReceiving(ulong received, ulong lost, Instant now) => receiving.Update(received, lost, now, Window, WindowSegments);

    /// <summary>True when the quality has changed enough to tell the user, at most every half second.</summary>
    public bool TakeNews(Instant now)
    {
        if (now - toldAt < Damping) return false;
        var current = Current;
        var isNews = (told.RoundTrip is null) != (current.RoundTrip is null)
            || Math.Abs(current.Loss - told.Loss) > Math.Max(LeastLossStep, LossStep * told.Loss);
        if (told.RoundTrip is { } before && current.RoundTrip is { } after)
        {
            var step = (after - before).Duration();
            isNews |= step > LeastRoundTripStep && step > RoundTripStep * before;
        }
        if (!isNews) return false;
        (told, toldAt) = (current, now);
        return true;
    }

    private struct LossWindow
    {
        private ulong beganReceived;
        private ulong beganLost;
        private Instant began;

        public double Loss { get; private set; }

        public ulong TotalSegments { get; private set; }

        public ulong TotalLost { get; private set; }

        public void Update(ulong received, ulong lost, Instant now, TimeSpan window, ulong least)
        {
            if (received < beganReceived) return;
            TotalSegments = Math.Max(TotalSegments, received + lost);
            TotalLost = lost;
            var segments = received - beganReceived;
            // Overtaken packets count as missing for a moment; when they arrive the total sinks again.
            var missing = lost > beganLost ? lost - beganLost : 0;
            if (now - began < window || segments + missing < least) return;
            var sample = (double)missing / (segments + missing);
            Loss = Loss == 0 && sample < 0.0005 ? 0 : Loss + ((sample - Loss) / 4);
            if (Loss < 1e-5) Loss = 0;
            (beganReceived, beganLost, began) = (received, lost, now);
        }
    }
}
