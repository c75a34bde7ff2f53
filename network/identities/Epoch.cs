namespace Florete.Identities;

/// <summary>
/// A coordinator's term (docs/protocols/coordination.md): the greater counter wins, then the greater name, so two terms are never equal in rank.
/// </summary>
/// <param name="Counter">At least 1.</param>
/// <param name="Coordinator">Name of the vertex at which the coordinator stands: a DNS label.</param>
public readonly record struct Epoch(ulong Counter, string Coordinator) : IComparable<Epoch>
{
    public static bool operator <(Epoch left, Epoch right) => left.CompareTo(right) < 0;

    public static bool operator >(Epoch left, Epoch right) => left.CompareTo(right) > 0;

    public static bool operator <=(Epoch left, Epoch right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Epoch left, Epoch right) => left.CompareTo(right) >= 0;

    public int CompareTo(Epoch other)
    {
        var byCounter = Counter.CompareTo(other.Counter);
        return byCounter != 0 ? byCounter : string.CompareOrdinal(Coordinator, other.Coordinator);
    }

    /// <summary>For people: <c>5 (c)</c>.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Counter} ({Coordinator})");
}
