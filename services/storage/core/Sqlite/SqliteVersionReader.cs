using System.Collections.Concurrent;
using Florete.Storage.Contracts;

namespace Florete.Storage.Sqlite;

/// <summary>Reads beside the writer: in WAL mode neither waits for the other. A few connections, each used by one caller at a time.</summary>
internal sealed class SqliteVersionReader(string file) : IVersionReader, IDisposable
{
    // Reads take microseconds, so more would only hold memory.
    private const int MaxConnections = 4;

    private readonly ConcurrentBag<SqliteQueries> idle = [];
    private readonly SemaphoreSlim free = new(MaxConnections, MaxConnections);

    public IReadOnlyList<StoredVersion> ReadUnit(DocumentKey key) => With(q => q.ReadUnit(key));

    public StoredVersion? Find(VersionId id) => With(q => q.Find(id));

    public IReadOnlyList<StoredVersion> ReadCollection(CollectionName collection, string prefix, DocumentKey? after, int limit) =>
        With(q => q.ReadCollection(collection, prefix, after, Page(limit)));

    public IReadOnlyList<StoredVersion> ReadSuperseded(DocumentKey? after, int limit) => With(q => q.ReadSuperseded(after, Page(limit)));

    public ChangePage ReadChanges(long after, CollectionName? collection, string prefix, int limit) => With(q => q.ReadChanges(after, collection, prefix, Page(limit)));

    public ChangePage ReadLog(long after, int limit) => With(q => q.ReadLog(after, Page(limit)));

    public IReadOnlyList<BucketEntry> ReadBucket(int bucket, Stamp supersededFrom, Stamp tombstonesFrom) => With(q => q.ReadBucket(bucket, supersededFrom, tombstonesFrom));

    public IReadOnlyList<VersionId> Lacking(IEnumerable<VersionId> ids) => With(q => q.Lacking(ids));

    public byte[]? ReadChain(ChainHash hash) => With(q => q.ReadChain(hash));

    public void Dispose()
    {
        while (idle.TryTake(out var queries)) queries.Dispose();
        free.Dispose();
    }

    private static int Page(int limit) => Math.Clamp(limit, 1, StorageLimits.MaxPageItems);

    private T With<T>(Func<SqliteQueries, T> read)
    {
        free.Wait();
        try
        {
            if (!idle.TryTake(out var queries)) queries = new SqliteQueries(file);
            try
            {
                var result = read(queries);
                idle.Add(queries);
                return result;
            }
            catch
            {
                // Whatever state it is in, nobody uses it again.
                queries.Dispose();
                throw;
            }
        }
        finally
        {
            free.Release();
        }
    }
}
