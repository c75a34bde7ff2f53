using System.Collections.Immutable;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>A store in memory that forgets, as a disk does, what was not committed when its node crashes. Reads see what was committed.</summary>
internal sealed class SimulatedStore(ReplicaName replica, string incarnation) : IVersionStore, IVersionReader
{
    private Content committed = new(
        new StoreHeader(replica, incarnation, 0, 0, Stamp.None), ImmutableSortedDictionary<long, StoredVersion>.Empty, ImmutableDictionary<ChainHash, byte[]>.Empty);

    // A hash for each, time and again.
    private readonly Dictionary<DocumentKey, int> buckets = [];

    private Content? working;

    /// <summary>The next commit fails, as on a full disk.</summary>
    public bool FailsNext { get; set; }

    public StoreHeader Header => Now.Header;

    /// <summary>All that is committed, hidden versions too.</summary>
    public IEnumerable<StoredVersion> All => committed.Rows.Values;

    private Content Now => working ?? committed;

    public void Crash() => working = null;

    public void Begin() => working = working is null ? committed : throw new InvalidOperationException("A transaction in a transaction.");

    public void Commit()
    {
        if (FailsNext)
        {
            FailsNext = false;
            throw new StorageException("the disk is full");
        }
        committed = working ?? throw new InvalidOperationException("There is no transaction.");
        working = null;
    }

    public void Rollback() => working = null;

    List<StoredVersion> IVersionStore.ReadUnit(DocumentKey key) => [.. Now.Rows.Values.Where(v => v.Version.Key == key)];

    public bool Holds(VersionId id) => Now.Rows.Values.Any(v => v.Version.Id == id);

    public void Insert(StoredVersion version)
    {
        if (Holds(version.Version.Id)) throw new InvalidOperationException($"{version.Version} is held already.");
        Change(c => c with { Rows = c.Rows.Add(version.Sequence, version) });
    }

    public void Move(long sequence, long newSequence, VersionState newState) =>
        Change(c => c with { Rows = c.Rows.Remove(sequence).Add(newSequence, c.Rows[sequence] with { Sequence = newSequence, State = newState }) });

    public void Remove(long sequence) => Change(c => c.Rows.ContainsKey(sequence) ? c with { Rows = c.Rows.Remove(sequence) } : throw new InvalidOperationException("There is no such row."));

    public void PutChain(ChainHash hash, ReadOnlySpan<byte> encoded)
    {
        var kept = encoded.ToArray();
        Change(c => c with { Chains = c.Chains.SetItem(hash, kept) });
    }

    public void RemoveChain(ChainHash hash) => Change(c => c with { Chains = c.Chains.Remove(hash) });

    byte[]? IVersionStore.ReadChain(ChainHash hash) => Now.Chains.GetValueOrDefault(hash);

    public IReadOnlyList<ChainHash> ReadChains() => [.. Now.Chains.Keys];

    public void WriteHeader(StoreHeader header) => Change(c => c with { Header = header });

    public List<VersionRow> ReadRows(long after, int limit) => [.. Now.Rows.Values.Where(v => v.Sequence > after).Take(limit).Select(VersionRow.Of)];

    public List<VersionRow> ReadAged(bool tombstones, Stamp from, Stamp until, int limit) =>
        [.. Now.Rows.Values.Where(v => (tombstones ? v.State == VersionState.Current && v.Version.IsTombstone : v.State == VersionState.Superseded)
            && v.Version.Stamp >= from && v.Version.Stamp < until).OrderBy(v => v.Version.Stamp).Take(limit).Select(VersionRow.Of)];

    public IReadOnlyList<StoredVersion> ReadUnit(DocumentKey key) =>
        [.. committed.Rows.Values.Where(v => !v.IsHidden && v.Version.Key == key).OrderBy(v => v.State).ThenByDescending(v => v.Version.Stamp).ThenByDescending(v => v.Version.Id)];

    public StoredVersion? Find(VersionId id) => committed.Rows.Values.FirstOrDefault(v => !v.IsHidden && v.Version.Id == id);

    public IReadOnlyList<StoredVersion> ReadCollection(CollectionName collection, string prefix, DocumentKey? after, int limit) =>
        [.. committed.Rows.Values.Where(v => v.State == VersionState.Current && !v.Version.IsTombstone && v.Version.Key.Collection == collection
            && v.Version.Key.Name.ToString().StartsWith(prefix, StringComparison.Ordinal) && (after is null || v.Version.Key > after)).OrderBy(v => v.Version.Key).Take(limit)];

    public IReadOnlyList<StoredVersion> ReadSuperseded(DocumentKey? after, int limit) =>
        [.. committed.Rows.Values.Where(v => v.State == VersionState.Superseded && (after is null || v.Version.Key > after)).OrderBy(v => v.Version.Key)];

    public ChangePage ReadChanges(long after, CollectionName? collection, string prefix, int limit)
    {
        var items = committed.Rows.Values.Where(v => v.Sequence > after && (collection is null || v.Version.Key.Collection == collection)).Take(limit).ToList();
        var isLast = items.Count < limit;
        return new ChangePage(items, isLast ? Math.Max(Math.Max(after, committed.Header.Sequence), committed.Rows.IsEmpty ? 0 : committed.Rows.Keys.Last()) : items[^1].Sequence, isLast);
    }

    public ChangePage ReadLog(long after, int limit)
    {
        var page = ReadChanges(after, null, "", limit);
        return page with { Items = [.. page.Items.Where(v => !v.IsHidden)] };
    }

    public IReadOnlyList<BucketEntry> ReadBucket(int bucket, Stamp supersededFrom, Stamp tombstonesFrom) =>
        [.. committed.Rows.Values.Where(v => BucketOf(v.Version.Key) == bucket && (v.State == VersionState.Superseded ? v.Version.Stamp >= supersededFrom
            : v.State == VersionState.Current && (!v.Version.IsTombstone || v.Version.Stamp >= tombstonesFrom)))
            .Select(v => new BucketEntry(v.Version.Id, v.Version.Stamp, v.State == VersionState.Superseded))];

    public IReadOnlyList<VersionId> Lacking(IEnumerable<VersionId> ids) => [.. ids.Where(id => committed.Rows.Values.All(v => v.Version.Id != id))];

    public byte[]? ReadChain(ChainHash hash) => committed.Chains.GetValueOrDefault(hash);

    private int BucketOf(DocumentKey key)
    {
        if (!buckets.TryGetValue(key, out var bucket)) buckets[key] = bucket = key.Bucket();
        return bucket;
    }

    private void Change(Func<Content, Content> change) => working = change(working ?? throw new InvalidOperationException("There is no transaction."));

    private sealed record Content(StoreHeader Header, ImmutableSortedDictionary<long, StoredVersion> Rows, ImmutableDictionary<ChainHash, byte[]> Chains);
}
