using Florete.Portals;

namespace Florete.Layers;

/// <summary>What a measured flow costs as a link of the layer.</summary>
/// <param name="MetricMicroseconds">Half the round trip with loss priced in, rounded up to a step.</param>
/// <param name="LossPartsPerMillion">Loss in the sending direction.</param>
/// <param name="CapacityBitsPerSecond">0: unknown.</param>
internal readonly record struct LinkMetric(uint MetricMicroseconds, uint LossPartsPerMillion, ulong CapacityBitsPerSecond)
{
    /// <summary>
    /// Links of one building differ by noise only; they all cost this, so that equal paths are equal and flows spread over them.
    /// </summary>
    public const uint LeastMicroseconds = 250;

    /// <summary>Not measured yet: neither attractive nor shunned.</summary>
    private const double UnmeasuredMicroseconds = 1_000;

    /// <summary>What a lost packet costs its sender: about the least retransmission timeout (RFC 9002 §6.2 with usual round trips).</summary>
    private const double LostPacketMicroseconds = 200_000;

    /// <summary>Above: a minute; keeps sums far from overflow.</summary>
    private const uint MostMicroseconds = 60_000_000;

    public static LinkMetric Of(FlowQuality quality)
    {
        var oneWay = quality.RoundTrip is { } roundTrip ? Math.Max(0, roundTrip.TotalMicroseconds / 2) : UnmeasuredMicroseconds;
        var loss = double.IsFinite(quality.Loss) ? Math.Clamp(quality.Loss, 0, 1) : 0;
        return new LinkMetric(
            RoundUp(oneWay + (loss * LostPacketMicroseconds)), (uint)(loss * 1_000_000), (ulong)Math.Max(0, quality.CapacityBitsPerSecond ?? 0));
    }

    /// <summary>Different enough to tell the whole layer: more than noise around the border of two steps.</summary>
    public bool IsNewsAfter(LinkMetric told) =>
        Differs(MetricMicroseconds, told.MetricMicroseconds, 1.3)
        || Math.Abs((long)LossPartsPerMillion - told.LossPartsPerMillion) > Math.Max(2_000, told.LossPartsPerMillion / 2)
        || Differs(CapacityBitsPerSecond, told.CapacityBitsPerSecond, 1.3);

    private static bool Differs(double a, double b, double ratio) => Math.Max(a, b) > ratio * Math.Min(a, b);

    // Steps of a quarter: the two bits after the leading one are kept.
    private static uint RoundUp(double microseconds)
    {
        if (microseconds <= LeastMicroseconds) return LeastMicroseconds;
        if (microseconds >= MostMicroseconds) return MostMicroseconds;
        var value = (uint)Math.Ceiling(microseconds);
        var step = 1u << Math.Max(0, 29 - System.Numerics.BitOperations.LeadingZeroCount(value));
        return (value + step - 1) / step * step;
    }
}
