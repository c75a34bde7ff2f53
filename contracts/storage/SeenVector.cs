using System.Collections;
using System.Runtime.InteropServices;

namespace Florete.Storage.Contracts;

/// <summary>The newest stamp that was accepted at a replica.</summary>
public readonly record struct SeenEntry(ReplicaName Replica, Stamp Stamp);

/// <summary>
/// What somebody knows of a unit: for each replica the newest stamp accepted there. Immutable; entries ascend by replica, each once, at most
/// <see cref="StorageProtocol.MaxSeen"/>.
/// </summary>
public sealed class SeenVector : IReadOnlyList<SeenEntry>, IEquatable<SeenVector>
{
    private readonly SeenEntry[] entries;

    private SeenVector(SeenEntry[] entries) => this.entries = entries;

    /// <summary>Nothing is known.</summary>
    public static SeenVector Empty { get; } = new([]);

    public int Count => entries.Length;

    public SeenEntry this[int index] => entries[index];

    /// <summary>The newest stamp accepted at this replica; <see cref="Stamp.None"/> if none is known.</summary>
    public Stamp this[ReplicaName replica]
    {
        get
        {
            foreach (ref readonly var entry in entries.AsSpan())
            {
                if (entry.Replica == replica) return entry.Stamp;
            }
            return Stamp.None;
        }
    }

    /// <summary>The greatest of all its stamps.</summary>
    public Stamp Newest => entries.Length == 0 ? Stamp.None : entries.Max(static e => e.Stamp);

    /// <summary>
    /// Of several entries of a replica the newest counts. Where there are more replicas than a vector may have, those with the oldest stamps are left
    /// out: what they accepted is taken for concurrent, so nothing is lost.
    /// </summary>
    public static SeenVector Of(IEnumerable<SeenEntry> entries)
    {
        var newest = new Dictionary<ReplicaName, Stamp>();
        foreach (var (replica, stamp) in entries)
        {
            ref var held = ref CollectionsMarshal.GetValueRefOrAddDefault(newest, replica, out _);
            if (stamp > held) held = stamp;
        }
        IEnumerable<SeenEntry> kept = newest.Where(static e => e.Value != Stamp.None).Select(static e => new SeenEntry(e.Key, e.Value));
        if (newest.Count > StorageProtocol.MaxSeen) kept = kept.OrderByDescending(static e => e.Stamp).ThenBy(static e => e.Replica).Take(StorageProtocol.MaxSeen);
        return FromSorted([.. kept.OrderBy(static e => e.Replica)]);
    }

    /// <summary>What is known to either.</summary>
    public SeenVector Union(SeenVector other) => other.Count == 0 ? this : Of(entries.Concat(other.entries));

    /// <summary>The same without entries before a stamp.</summary>
    public SeenVector Since(Stamp oldest) => entries.All(e => e.Stamp >= oldest) ? this : FromSorted([.. entries.Where(e => e.Stamp >= oldest)]);

    public bool Equals(SeenVector? other) => other is not null && entries.AsSpan().SequenceEqual(other.entries);

    public override bool Equals(object? obj) => Equals(obj as SeenVector);

    public override int GetHashCode() => entries.Aggregate(0, static (hash, entry) => HashCode.Combine(hash, entry));

    public override string ToString() => string.Join(", ", entries.Select(static e => $"{e.Replica} {e.Stamp}"));

    public IEnumerator<SeenEntry> GetEnumerator() => ((IEnumerable<SeenEntry>)entries).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => entries.GetEnumerator();

    /// <summary>Entries that ascend by replica, as they are in a version.</summary>
    internal static SeenVector FromSorted(SeenEntry[] entries) => entries.Length == 0 ? Empty : new SeenVector(entries);
}
