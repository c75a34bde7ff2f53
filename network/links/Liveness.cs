using Florete.Runtime;

namespace Florete.Links;

/// <summary>
/// Is the neighbour there? After RFC 5880, in asynchronous mode, with the detection time adapted to measured loss and jitter
/// (docs/protocols/link-udp.md "Liveness"). Pure: fed with events and time.
/// </summary>
internal sealed class Liveness
{
    /// <summary>Segments of unfinished SDUs count as life for so long after the last authenticated one.</summary>
    public static readonly TimeSpan ProvisionalLife = TimeSpan.FromMilliseconds(500);

    /// <summary>When every send has failed for so long, there is no medium.</summary>
    public static readonly TimeSpan SendFailure = TimeSpan.FromMilliseconds(20);

    private const int LeastFailedSends = 3;
    private const double MostJitterMilliseconds = 75;
    private const double ImprobableRun = 1e-5; // per interval; the questions asked in the second half of the detection time multiply it down
    private static readonly TimeSpan MaxInterval = TimeSpan.FromSeconds(1);

    // A program that has just started compiles itself while it runs: it may be silent for longer than a settled one.
    private static readonly TimeSpan Youth = TimeSpan.FromSeconds(5);

    // A neighbour on a busy machine that was silent for long, and lived, may be so again.
    private static readonly TimeSpan GapHalfLife = TimeSpan.FromSeconds(60);
    private const double GapFactor = 3;

    private readonly Instant born;
    private TimeSpan longestGap;
    private Instant gapDecayedAt;

    private TimeSpan peerInterval;
    private double jitterMilliseconds;
    private TimeSpan adapted;
    private long? lastTransit;
    private Instant lastAuthenticated;
    private Instant lastHeard;
    private Instant failingSince = Instant.Never;
    private int failedSends;

    /// <param name="now">The link begins.</param>
    /// <param name="times">Of this kind of link; null: <see cref="LivenessTimes.Udp"/>.</param>
    /// <param name="survivedGap">A silence that the neighbour is known to have survived; zero: none is known.</param>
    public Liveness(Instant now, LivenessTimes? times = null, TimeSpan survivedGap = default)
    {
        born = lastHeard = lastAuthenticated = gapDecayedAt = now;
        longestGap = survivedGap;
        Times = times ?? LivenessTimes.Udp;
        peerInterval = Times.Interval;
        adapted = 1.5 * Times.LeastDetection;
    }

    public LivenessTimes Times { get; }

    public Instant LastHeard => lastHeard;

    /// <summary>Silence that means down.</summary>
    public TimeSpan Detection
    {
        get
        {
            var patience = lastHeard - born < Youth ? Times.YoungDetection : GapFactor * longestGap;
            if (patience > Times.MostPatience) patience = Times.MostPatience;
            return patience > adapted ? patience : adapted;
        }
    }

    /// <summary>When the silence becomes suspicious: ask.</summary>
    public Instant AsksAt => lastHeard + (Detection / 2);

    public Instant DownAt => lastHeard + Detection;

    public bool IsFailing => failedSends > 0;

    public void OnAuthenticated(Instant now)
    {
        var gap = now - lastHeard;
        // Gaps of the ordinary interval say nothing: three of them (GapFactor) make no more than the least detection time. Nor do those of youth.
        if (gap > longestGap && now - born >= Youth) longestGap = gap;
        lastHeard = lastAuthenticated = now;
    }

    /// <summary>A segment from the validated address that advanced an SDU.</summary>
    public void OnProgress(Instant now)
    {
        if (now - lastAuthenticated < ProvisionalLife) lastHeard = now;
    }

    public void OnKeepAlive(in KeepAlive message, Instant now)
    {
        var stated = TimeSpan.FromMilliseconds(message.IntervalMilliseconds);
        peerInterval = stated < Times.Interval ? Times.Interval : stated > MaxInterval ? MaxInterval : stated;
        // RFC 3550 §6.4.1: differences of transit times need no common clock.
        var transit = (now.Nanoseconds / 1000) - (long)message.SentMicroseconds;
        if (lastTransit is { } last)
        {
            var difference = Math.Min(Math.Abs((double)(transit - last)) / 1000, MostJitterMilliseconds * 16);
            jitterMilliseconds += (difference - jitterMilliseconds) / 16;
        }
        lastTransit = transit;
    }

    /// <summary>Adapts the detection time to the loss in our receiving direction.</summary>
    public void OnLossMeasured(double loss, Instant now)
    {
        var losses = Math.Clamp(Math.Ceiling(Math.Log(ImprobableRun) / Math.Log(Math.Clamp(loss, 1e-4, 0.4))), 2, 12);
        var detection = ((losses + 0.5) * peerInterval) + TimeSpan.FromMilliseconds(4 * Math.Min(jitterMilliseconds, MostJitterMilliseconds));
        adapted = detection > Times.LeastDetection ? detection : Times.LeastDetection;
        longestGap *= Math.Pow(0.5, (now - gapDecayedAt) / GapHalfLife);
        gapDecayedAt = now;
    }

    /// <summary>Our own loop did not run for this long: the neighbour is not to blame.</summary>
    public void Forgive(TimeSpan stall, Instant now)
    {
        lastHeard = Instant.Min(lastHeard + stall, now);
        lastAuthenticated = Instant.Min(lastAuthenticated + stall, now);
        if (failingSince != Instant.Never) failingSince = Instant.Min(failingSince + stall, now);
    }

    public void OnSent(SendResult result, Instant now)
    {
        if (result != SendResult.Unreachable)
        {
            if (result == SendResult.Sent) (failedSends, failingSince) = (0, Instant.Never);
            return;
        }
        if (failedSends++ == 0) failingSince = now;
    }

    /// <summary>Why the link is down; null while it is up.</summary>
    public GoodbyeReason? Check(Instant now)
    {
        if (failedSends >= LeastFailedSends && now - failingSince >= SendFailure) return GoodbyeReason.SendsFail;
        return now >= DownAt ? GoodbyeReason.Silence : null;
    }
}
