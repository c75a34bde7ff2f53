using Florete.Storage.Contracts;

namespace Florete.Storage.Sqlite;

/// <summary>
/// One SQLite file in WAL mode, synchronous=FULL: what is committed survives kill -9 and loss of power. A damaged file, or one of a newer version, is an error that names
/// it; nothing is ever reset. One process at a time.
/// </summary>
internal sealed class SqliteVersionStore : IVersionStore, IDisposable
{
    /// <summary>The database, in the folder of the store.</summary>
    public const string FileName = "storage.db";

    private const string LockName = "storage.lock";

    private readonly FileStream folderLock;
    private readonly SqliteConnection connection;
    private readonly SqliteStatement begin, commit, rollback, readUnit, holds, insert, move, remove, putChain, removeChain, readChain, readChains, writeHeader, readRows, readSuperseded, readTombstones;

    private SqliteVersionStore(FileStream folderLock, SqliteConnection connection, StoreHeader header)
    {
        (this.folderLock, this.connection, Header) = (folderLock, connection, header);
        begin = connection.Prepare("BEGIN IMMEDIATE");
        commit = connection.Prepare("COMMIT");
        rollback = connection.Prepare("ROLLBACK");
        readUnit = connection.Prepare($"SELECT {SqliteRows.Columns} FROM versions WHERE collection = ? AND name = ? AND unit = ?");
        holds = connection.Prepare("SELECT 1 FROM versions WHERE id = ?");
        insert = connection.Prepare(
            "INSERT INTO versions(sequence, state, flags, bucket, stamp, id, collection, name, unit, author, chain, bytes) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        move = connection.Prepare("UPDATE versions SET sequence = ?, state = ? WHERE sequence = ?");
        remove = connection.Prepare("DELETE FROM versions WHERE sequence = ?");
        putChain = connection.Prepare("INSERT OR IGNORE INTO chains(hash, bytes) VALUES(?, ?)");
        removeChain = connection.Prepare("DELETE FROM chains WHERE hash = ?");
        readChain = connection.Prepare("SELECT bytes FROM chains WHERE hash = ?");
        readChains = connection.Prepare("SELECT hash FROM chains");
        writeHeader = connection.Prepare("UPDATE header SET sequence = ?, purged = ?, clock = ?");
        readRows = connection.Prepare($"SELECT {SqliteRows.RowColumns} FROM versions WHERE sequence > ? ORDER BY sequence LIMIT ?");
        readSuperseded = connection.Prepare($"SELECT {SqliteRows.RowColumns} FROM versions WHERE state = 2 AND stamp >= ? AND stamp < ? ORDER BY stamp LIMIT ?");
        readTombstones = connection.Prepare($"SELECT {SqliteRows.RowColumns} FROM versions WHERE state = 1 AND flags & 1 AND stamp >= ? AND stamp < ? ORDER BY stamp LIMIT ?");
    }

    public StoreHeader Header { get; private set; }

    /// <summary>The database file.</summary>
    public string File => connection.File;

    /// <summary>Opens the store of a replica, or makes it: the folder gets mode 0700.</summary>
    /// <exception cref="StorageException">The file is damaged, of a newer version, of another replica or of another program, in use, or cannot be written; the message says what to do.</exception>
    public static SqliteVersionStore Open(string folder, ReplicaName replica)
    {
        FileStream? folderLock = null;
        SqliteConnection? connection = null;
        try
        {
            (folderLock, var file) = Prepare(folder);
            connection = new SqliteConnection(file);
            var header = SqliteSchema.Open(connection, replica);
            return new SqliteVersionStore(folderLock, connection, header);
        }
        catch
        {
            connection?.Dispose();
            folderLock?.Dispose();
            throw;
        }
    }

    public void Begin() => begin.Run();

    public void Commit() => commit.Run();

    public void Rollback()
    {
        try
        {
            if (connection.InTransaction) rollback.Run();
        }
        catch (StorageException)
        {
            // SQLite has rolled back by itself, as it does where a transaction fails for good.
        }
    }

    public List<StoredVersion> ReadUnit(DocumentKey key)
    {
        readUnit.Bind(1, key.Collection.ToString()).Bind(2, key.Name.ToString()).Bind(3, key.Unit.ToString());
        var versions = new List<StoredVersion>();
        while (readUnit.Step()) versions.Add(SqliteRows.Version(readUnit, File));
        return versions;
    }

    public bool Holds(VersionId id)
    {
        holds.Bind(1, SqliteRows.Blob(id, stackalloc byte[VersionId.Bytes]));
        if (!holds.Step()) return false;
        holds.Reset();
        return true;
    }

    public void Insert(StoredVersion version)
    {
        var held = version.Version;
        insert.Bind(1, version.Sequence).Bind(2, (long)version.State).Bind(3, (long)held.Flags).Bind(4, held.Key.Bucket()).Bind(5, (long)held.Stamp.Value);
        insert.Bind(6, SqliteRows.Blob(held.Id, stackalloc byte[VersionId.Bytes]));
        insert.Bind(7, held.Key.Collection.ToString()).Bind(8, held.Key.Name.ToString()).Bind(9, held.Key.Unit.ToString()).Bind(10, held.Author.ToString());
        insert.Bind(11, SqliteRows.Blob(held.Chain, stackalloc byte[ChainHash.Bytes])).Bind(12, held.Bytes.Span);
        insert.Run();
    }

    public void Move(long sequence, long newSequence, VersionState newState) => move.Bind(1, newSequence).Bind(2, (long)newState).Bind(3, sequence).Run();

    public void Remove(long sequence) => remove.Bind(1, sequence).Run();

    public void PutChain(ChainHash hash, ReadOnlySpan<byte> encoded) => putChain.Bind(1, SqliteRows.Blob(hash, stackalloc byte[ChainHash.Bytes])).Bind(2, encoded).Run();

    public void RemoveChain(ChainHash hash) => removeChain.Bind(1, SqliteRows.Blob(hash, stackalloc byte[ChainHash.Bytes])).Run();

    public byte[]? ReadChain(ChainHash hash) => SqliteRows.Chain(readChain, hash);

    public IReadOnlyList<ChainHash> ReadChains()
    {
        var hashes = new List<ChainHash>();
        while (readChains.Step())
        {
            if (readChains.Blob(0).Length != ChainHash.Bytes) throw StorageException.Damaged(File, "the hash of a chain is not what was written");
            hashes.Add(ChainHash.Read(readChains.Blob(0)));
        }
        return hashes;
    }

    public void WriteHeader(StoreHeader header)
    {
        writeHeader.Bind(1, header.Sequence).Bind(2, header.Purged).Bind(3, (long)header.Clock.Value).Run();
        Header = header;
    }

    public List<VersionRow> ReadRows(long after, int limit) => Rows(readRows.Bind(1, after).Bind(2, limit));

    public List<VersionRow> ReadAged(bool tombstones, Stamp from, Stamp until, int limit) =>
        Rows((tombstones ? readTombstones : readSuperseded).Bind(1, (long)from.Value).Bind(2, (long)until.Value).Bind(3, limit));

    /// <summary>Writes back what is in the WAL, and lets go of the file.</summary>
    public void Dispose()
    {
        connection.Dispose();
        folderLock.Dispose();
    }

    private static (FileStream Lock, string File) Prepare(string folder)
    {
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
            else Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            return (new FileStream(Path.Combine(folder, LockName), options), Path.Combine(folder, FileName));
        }
        catch (IOException e)
        {
            throw new StorageException($"{folder}: it is in use by another process, or cannot be written ({e.Message}). One florete-storage uses a folder at a time.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new StorageException($"{folder}: it cannot be written ({e.Message}). It must belong to the user who runs the storage.", e);
        }
    }

    private List<VersionRow> Rows(SqliteStatement statement)
    {
        var rows = new List<VersionRow>();
        while (statement.Step()) rows.Add(SqliteRows.Row(statement, File));
        return rows;
    }
}
