using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Lets a number of events pass a second, and as many in a burst.</summary>
internal sealed class AnswerRate(int perSecond)
{
    private readonly long interval = 1_000_000_000L / perSecond;
    private readonly long burst = 1_000_000_000L;
    private long emptyUntil = long.MinValue / 2;

    public bool TryTake(Instant now)
    {
        // Virtual scheduling (GCRA): the time at which the bucket would be full again may lie at most one burst ahead.
        var at = Math.Max(emptyUntil, now.Nanoseconds);
        if (at + interval - now.Nanoseconds > burst) return false;
        emptyUntil = at + interval;
        return true;
    }
}
