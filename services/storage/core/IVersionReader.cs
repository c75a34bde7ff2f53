using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// What a replica holds, as committed. Hidden versions are in none of it but the changes. Pages end at a count or after 4 MiB, whatever is first, but have at least one item if there is
/// one. Every member may throw <see cref="StorageException"/>. Thread-safe.
/// </summary>
public interface IVersionReader
{
    /// <summary>The current version, then superseded ones, the newest first; empty if there is none.</summary>
    IReadOnlyList<StoredVersion> ReadUnit(DocumentKey key);

    /// <summary>The version with this id; null if it is not held.</summary>
    StoredVersion? Find(VersionId id);

    /// <summary>Current versions of a collection whose names begin with <paramref name="prefix"/>, no tombstones, ascending by key, after <paramref name="after"/>.</summary>
    IReadOnlyList<StoredVersion> ReadCollection(CollectionName collection, string prefix, DocumentKey? after, int limit);

    /// <summary>Superseded versions, ascending by key, then the newest first; those of keys after <paramref name="after"/>. A page ends at the end of a unit.</summary>
    IReadOnlyList<StoredVersion> ReadSuperseded(DocumentKey? after, int limit);

    /// <summary>What changed after a local sequence, ascending by it.</summary>
    ChangePage ReadChanges(long after, CollectionName? collection, string prefix, int limit);

    /// <summary>The same of all collections and without hidden ones: for a replica that is filled anew.</summary>
    ChangePage ReadLog(long after, int limit);

    /// <summary>What is held of a bucket (<see cref="DocumentKey.Bucket"/>), without superseded versions and tombstones that are older than told.</summary>
    IReadOnlyList<BucketEntry> ReadBucket(int bucket, Stamp supersededFrom, Stamp tombstonesFrom);

    /// <summary>Those that are not held, hidden ones counted as held; in the order given.</summary>
    IReadOnlyList<VersionId> Lacking(IEnumerable<VersionId> ids);

    /// <summary>An encoded chain; null if it is not kept.</summary>
    byte[]? ReadChain(ChainHash hash);
}

/// <summary>A page of changes.</summary>
/// <param name="Items">
/// Ascending by sequence. A hidden one has been taken away by the bounds: if the unit has no current version now, it is gone for who watches. Empty where nothing of what was asked for changed.
/// </param>
/// <param name="Through">Ask for what is after this next: nothing before it was left out.</param>
/// <param name="IsLast">Nothing newer was there.</param>
public sealed record ChangePage(IReadOnlyList<StoredVersion> Items, long Through, bool IsLast);

/// <summary>A version in a bucket, as replicas compare them.</summary>
public readonly record struct BucketEntry(VersionId Id, Stamp Stamp, bool IsSuperseded);
