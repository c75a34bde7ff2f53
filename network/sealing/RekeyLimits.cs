namespace Florete.Sealing;

/// <summary>When a key has done enough (docs/protocols/sealing.md "Key phases"). At twice a limit sealing stops.</summary>
/// <param name="Packets">Packets sealed.</param>
/// <param name="PayloadBytes">Bytes sealed.</param>
/// <param name="Age">Time since the key came into use.</param>
public sealed record RekeyLimits(long Packets, long PayloadBytes, TimeSpan Age)
{
    public static readonly RekeyLimits Default = new(1L << 24, 1L << 38, TimeSpan.FromHours(1));

    /// <exception cref="ArgumentOutOfRangeException">A limit is not positive, or weaker than the default.</exception>
    public RekeyLimits Validated()
    {
        Check(Packets, Default.Packets, nameof(Packets));
        Check(PayloadBytes, Default.PayloadBytes, nameof(PayloadBytes));
        Check(Age.Ticks, Default.Age.Ticks, nameof(Age));
        return this;
    }

    private static void Check(long value, long most, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, most, name);
    }
}
