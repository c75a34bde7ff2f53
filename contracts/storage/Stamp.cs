using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Florete.Storage.Contracts;

/// <summary>
/// A reading of a hybrid logical clock (Kulkarni et al. 2014): 48 bits of Unix milliseconds, then 16 bits of counter. Zero is none. Written
/// <c>milliseconds.counter</c>, both decimal.
/// </summary>
public readonly record struct Stamp(ulong Value) : IComparable<Stamp>
{
    public const int Bytes = 8;

    private const int CounterBits = 16;

    /// <summary>Before every stamp: nothing was accepted.</summary>
    public static Stamp None => default;

    /// <summary>Milliseconds since 1970 UTC.</summary>
    public long Milliseconds => (long)(Value >> CounterBits);

    public int Counter => (ushort)Value;

    /// <summary>Its wall-clock part; stamps after the year 9999 are shown as its end.</summary>
    public DateTimeOffset Time =>
        Milliseconds >= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds() ? DateTimeOffset.MaxValue : DateTimeOffset.FromUnixTimeMilliseconds(Milliseconds);

    /// <summary>The stamp after this one.</summary>
    public Stamp Next => new(Value + 1);

    /// <summary>The first stamp of a moment; one before 1970 is that of 1970.</summary>
    public static Stamp Of(DateTimeOffset time) => new((ulong)Math.Max(0, time.ToUnixTimeMilliseconds()) << CounterBits);

    /// <exception cref="FormatException">It is not <c>milliseconds.counter</c>.</exception>
    public static Stamp Parse(string text) =>
        TryParse(text, out var stamp) ? stamp : throw new FormatException($"'{NameText.Shown(text)}' is no stamp; write milliseconds.counter, as in 1763733600000.0.");

    public static bool TryParse([NotNullWhen(true)] string? text, out Stamp stamp)
    {
        stamp = default;
        var dot = text?.IndexOf('.', StringComparison.Ordinal) ?? -1;
        if (dot < 0) return false;
        if (!ulong.TryParse(text.AsSpan(0, dot), NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)) return false;
        if (!ushort.TryParse(text.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var counter)) return false;
        if (milliseconds >> (64 - CounterBits) != 0) return false;
        stamp = new Stamp((milliseconds << CounterBits) | counter);
        return true;
    }

    public int CompareTo(Stamp other) => Value.CompareTo(other.Value);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Milliseconds}.{Counter}");

    public static bool operator <(Stamp a, Stamp b) => a.Value < b.Value;

    public static bool operator >(Stamp a, Stamp b) => a.Value > b.Value;

    public static bool operator <=(Stamp a, Stamp b) => a.Value <= b.Value;

    public static bool operator >=(Stamp a, Stamp b) => a.Value >= b.Value;
}
