using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Allows <paramref name="burst"/> at once and <paramref name="perSecond"/> from then on. A field of this type is not readonly.</summary>
internal struct Allowance(double burst, double perSecond)
{
    private double used;
    private Instant refilled;

    /// <summary>True if one more is allowed now; takes nothing.</summary>
    public bool Has(Instant now)
    {
        if (refilled != default) used = Math.Max(0, used - ((now - refilled).TotalSeconds * perSecond));
        refilled = now;
        return used <= burst - 1;
    }

    public bool TryTake(Instant now)
    {
        if (!Has(now)) return false;
        used++;
        return true;
    }
}
