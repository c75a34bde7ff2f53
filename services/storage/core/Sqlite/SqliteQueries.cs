using Florete.Storage.Contracts;

namespace Florete.Storage.Sqlite;

/// <summary>The reads of one connection. Used by one thread at a time.</summary>
internal sealed class SqliteQueries : IDisposable
{
    // Greater than every character of a name.
    private const string EndOfNames = "\u007F";

    private readonly SqliteConnection connection;
    private readonly SqliteStatement begin, end, unit, byId, collection, conflicts, changes, collectionChanges, log, last, bucket, holds, chain;

    public SqliteQueries(string file)
    {
        connection = new SqliteConnection(file);
        SqliteSchema.Configure(connection);
        connection.Execute("PRAGMA query_only = 1");
        begin = connection.Prepare("BEGIN");
        end = connection.Prepare("COMMIT");
        unit = connection.Prepare($"SELECT {SqliteRows.Columns} FROM versions WHERE collection = ? AND name = ? AND unit = ? AND state <= 2 ORDER BY state, stamp DESC, id DESC");
        byId = connection.Prepare($"SELECT {SqliteRows.Columns} FROM versions WHERE id = ? AND state <= 2");
        collection = connection.Prepare(
            $"SELECT {SqliteRows.Columns} FROM versions WHERE collection = ?1 AND (name, unit) > (?2, ?3) AND name >= ?4 AND name < ?5 AND state = 1 AND NOT flags & 1 ORDER BY name, unit LIMIT ?6");
        conflicts = connection.Prepare(
            $"SELECT {SqliteRows.Columns} FROM versions WHERE state = 2 AND (collection, name, unit) > (?1, ?2, ?3) ORDER BY collection, name, unit, stamp DESC, id DESC LIMIT ?4");
        changes = connection.Prepare($"SELECT {SqliteRows.Columns} FROM versions WHERE sequence > ? AND name >= ? AND name < ? ORDER BY sequence LIMIT ?");
        collectionChanges = connection.Prepare(
            $"SELECT {SqliteRows.Columns} FROM versions WHERE sequence > ? AND name >= ? AND name < ? AND collection = ?5 ORDER BY sequence LIMIT ?4");
        log = connection.Prepare($"SELECT {SqliteRows.Columns} FROM versions WHERE sequence > ? AND state <= 2 ORDER BY sequence LIMIT ?");
        // The row that had the last sequence may have been removed.
        last = connection.Prepare("SELECT max(sequence, ifnull((SELECT max(sequence) FROM versions), 0)) FROM header");
        bucket = connection.Prepare(
            "SELECT id, stamp, state FROM versions WHERE bucket = ?1 AND (state = 1 AND (NOT flags & 1 OR stamp >= ?3) OR state = 2 AND stamp >= ?2) ORDER BY state, stamp");
        holds = connection.Prepare("SELECT 1 FROM versions WHERE id = ?");
        chain = connection.Prepare("SELECT bytes FROM chains WHERE hash = ?");
    }

    public List<StoredVersion> ReadUnit(DocumentKey key) =>
        Page(unit.Bind(1, key.Collection.ToString()).Bind(2, key.Name.ToString()).Bind(3, key.Unit.ToString()), StorageLimits.MaxPageItems, out _);

    public StoredVersion? Find(VersionId id)
    {
        byId.Bind(1, SqliteRows.Blob(id, stackalloc byte[VersionId.Bytes]));
        return Page(byId, 1, out _) is [var found] ? found : null;
    }

    public List<StoredVersion> ReadCollection(CollectionName name, string prefix, DocumentKey? after, int limit)
    {
        collection.Bind(1, name.ToString()).Bind(2, after?.Name.ToString() ?? "").Bind(3, after?.Unit.ToString() ?? "").Bind(4, prefix).Bind(5, prefix + EndOfNames).Bind(6, limit);
        return Page(collection, limit, out _);
    }

    public List<StoredVersion> ReadSuperseded(DocumentKey? after, int limit)
    {
        // A unit is told whole: the page goes on for as many as one can have, and then back to where a unit ends.
        var most = limit + StorageLimits.MaxSuperseded;
        conflicts.Bind(1, after?.Collection.ToString() ?? "").Bind(2, after?.Name.ToString() ?? "").Bind(3, after?.Unit.ToString() ?? "").Bind(4, most);
        var page = Page(conflicts, most, out var isWhole);
        if (isWhole && page.Count < most) return page;
        var ends = page.Count;
        while (ends > 0 && page[ends - 1].Version.Key == page[^1].Version.Key) ends--;
        return ends > 0 ? page[..ends] : page;
    }

    public ChangePage ReadChanges(long after, CollectionName? of, string prefix, int limit)
    {
        var statement = of is null ? changes : collectionChanges;
        statement.Bind(1, after).Bind(2, prefix).Bind(3, prefix + EndOfNames).Bind(4, limit);
        if (of is { } name) statement.Bind(5, name.ToString());
        return Changes(statement, after, limit);
    }

    public ChangePage ReadLog(long after, int limit) => Changes(log.Bind(1, after).Bind(2, limit), after, limit);

    public List<BucketEntry> ReadBucket(int number, Stamp supersededFrom, Stamp tombstonesFrom)
    {
        bucket.Bind(1, number).Bind(2, (long)supersededFrom.Value).Bind(3, (long)tombstonesFrom.Value);
        var entries = new List<BucketEntry>();
        while (bucket.Step())
        {
            if (bucket.Blob(0).Length != VersionId.Bytes) throw StorageException.Damaged(connection.File, "the id of a version is not what was written");
            entries.Add(new BucketEntry(VersionId.Read(bucket.Blob(0)), new Stamp((ulong)bucket.Int64(1)), (VersionState)bucket.Int64(2) == VersionState.Superseded));
        }
        return entries;
    }

    public List<VersionId> Lacking(IEnumerable<VersionId> ids)
    {
        var lacking = new List<VersionId>();
        Span<byte> room = stackalloc byte[VersionId.Bytes];
        foreach (var id in ids)
        {
            if (holds.Bind(1, SqliteRows.Blob(id, room)).Step()) holds.Reset();
            else lacking.Add(id);
        }
        return lacking;
    }

    public byte[]? ReadChain(ChainHash hash) => SqliteRows.Chain(chain, hash);

    public void Dispose() => connection.Dispose();

    private ChangePage Changes(SqliteStatement statement, long after, int limit)
    {
        // One snapshot: the end of the log must not be later than the page.
        begin.Run();
        var items = Page(statement, limit, out var isWhole);
        var end = last.Step() ? last.Int64(0) : 0;
        last.Reset();
        this.end.Run();
        var isLast = isWhole && items.Count < limit;
        return new ChangePage(items, isLast ? Math.Max(after, end) : items[^1].Sequence, isLast);
    }

    private List<StoredVersion> Page(SqliteStatement statement, int limit, out bool isWhole)
    {
        var items = new List<StoredVersion>();
        var bytes = 0;
        while (items.Count < limit && statement.Step())
        {
            items.Add(SqliteRows.Version(statement, connection.File));
            bytes += items[^1].Version.Bytes.Length;
            if (bytes < StorageLimits.MaxPageBytes) continue;
            statement.Reset();
            isWhole = false;
            return items;
        }
        statement.Reset();
        isWhole = true;
        return items;
    }
}
