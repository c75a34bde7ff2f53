namespace Florete.Layers;

/// <summary>
/// The order of records with one key: incarnation, then sequence, then hash. Total, so that keeping the greater is commutative,
/// associative and idempotent.
/// </summary>
internal readonly record struct RecordVersion(ulong Incarnation, ulong Sequence, ulong Hash) : IComparable<RecordVersion>
{
    public static bool operator <(RecordVersion a, RecordVersion b) => a.CompareTo(b) < 0;

    public static bool operator >(RecordVersion a, RecordVersion b) => a.CompareTo(b) > 0;

    public static bool operator <=(RecordVersion a, RecordVersion b) => a.CompareTo(b) <= 0;

    public static bool operator >=(RecordVersion a, RecordVersion b) => a.CompareTo(b) >= 0;

    public int CompareTo(RecordVersion other)
    {
        var order = Incarnation.CompareTo(other.Incarnation);
        if (order == 0) order = Sequence.CompareTo(other.Sequence);
        return order == 0 ? Hash.CompareTo(other.Hash) : order;
    }
}
