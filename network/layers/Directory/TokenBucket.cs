using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Allows <paramref name="burst"/> at once and <paramref name="perSecond"/> from then on.</summary>
internal struct TokenBucket(double burst, double perSecond)
{
    private double tokens = burst;
    private Instant refilled = new(long.MinValue);

    public readonly double Tokens => tokens;

    public bool Has(Instant now)
    {
        if (refilled.Nanoseconds != long.MinValue) tokens = Math.Min(burst, tokens + ((now - refilled).TotalSeconds * perSecond));
        refilled = now;
        return tokens >= 1;
    }

    public bool TryTake(Instant now)
    {
        if (!Has(now)) return false;
        tokens--;
        return true;
    }
}
