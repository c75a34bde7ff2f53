using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// What a replica keeps, as its one writer sees it: within a transaction, its own changes included. Every member may throw
/// <see cref="StorageException"/>. Used by one thread at a time.
/// </summary>
internal interface IVersionStore
{
    /// <summary>What was committed last with <see cref="WriteHeader"/>, and what the database is.</summary>
    StoreHeader Header { get; }

    void Begin();

    /// <summary>Returns when all since <see cref="Begin"/> is on disk.</summary>
    void Commit();

    /// <summary>Forgets all since <see cref="Begin"/>; nothing if there is no transaction. Throws nothing.</summary>
    void Rollback();

    /// <summary>All versions of a unit, in no order.</summary>
    List<StoredVersion> ReadUnit(DocumentKey key);

    bool Holds(VersionId id);

    void Insert(StoredVersion version);

    /// <summary>Holds a version as something else, under a new sequence.</summary>
    void Move(long sequence, long newSequence, VersionState newState);

    void Remove(long sequence);

    /// <summary>Keeps an encoded chain; nothing if it is there.</summary>
    void PutChain(ChainHash hash, ReadOnlySpan<byte> encoded);

    void RemoveChain(ChainHash hash);

    /// <summary>The encoded chain; null if it is not there.</summary>
    byte[]? ReadChain(ChainHash hash);

    IReadOnlyList<ChainHash> ReadChains();

    void WriteHeader(StoreHeader header);

    /// <summary>Rows after a sequence, ascending, at most <paramref name="limit"/>.</summary>
    List<VersionRow> ReadRows(long after, int limit);

    /// <summary>Superseded versions, or current tombstones, with stamps from <paramref name="from"/> to before <paramref name="until"/>, at most <paramref name="limit"/>, oldest first.</summary>
    List<VersionRow> ReadAged(bool tombstones, Stamp from, Stamp until, int limit);
}

/// <summary>What a store says of itself.</summary>
/// <param name="Replica">Whose it is.</param>
/// <param name="Incarnation">Made with the database, at random: positions of another one mean nothing here.</param>
/// <param name="Sequence">A lower bound of the local sequence: the row that had it may have been removed.</param>
/// <param name="Purged">The greatest sequence of a tombstone that has been purged: who watches from before has missed a deletion.</param>
/// <param name="Clock">A lower bound of the clock, for the same reason.</param>
internal sealed record StoreHeader(ReplicaName Replica, string Incarnation, long Sequence, long Purged, Stamp Clock);
