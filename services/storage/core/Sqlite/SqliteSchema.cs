using System.Globalization;
using System.Security.Cryptography;
using Florete.Storage.Contracts;

namespace Florete.Storage.Sqlite;

/// <summary>The tables, version 1, and what is checked before they are trusted.</summary>
internal static class SqliteSchema
{
    public const int Version = 1;

    /// <summary>"FLST": tells our databases from others' (sqlite.org/pragma.html#pragma_application_id).</summary>
    public const int ApplicationId = 0x464C5354;

    // Small columns first, the version last: what does not need it does not read the pages that it overflows to. Sequences are given by the replica; a row that is held as
    // something else moves to a new one, so the table in its own order is the log.
    private const string Tables = """
        CREATE TABLE header(replica TEXT NOT NULL, incarnation TEXT NOT NULL, sequence INTEGER NOT NULL, purged INTEGER NOT NULL, clock INTEGER NOT NULL);
        CREATE TABLE chains(hash BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE versions(
          sequence INTEGER PRIMARY KEY, state INTEGER NOT NULL, flags INTEGER NOT NULL, bucket INTEGER NOT NULL, stamp INTEGER NOT NULL, id BLOB NOT NULL,
          collection TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL, author TEXT NOT NULL, chain BLOB NOT NULL, bytes BLOB NOT NULL);
        CREATE UNIQUE INDEX by_id ON versions(id);
        CREATE INDEX by_unit ON versions(collection, name, unit, state);
        CREATE INDEX by_bucket ON versions(bucket, state, stamp, flags, id);
        CREATE INDEX superseded ON versions(stamp) WHERE state = 2;
        CREATE INDEX tombstones ON versions(stamp) WHERE state = 1 AND flags & 1;
        """;

    /// <summary>What every connection is told.</summary>
    public static void Configure(SqliteConnection connection) => connection.Execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4000;");

    /// <summary>Checks the database, or makes it where the file is new.</summary>
    /// <exception cref="StorageException">It is damaged, newer, or somebody else's.</exception>
    public static StoreHeader Open(SqliteConnection connection, ReplicaName replica)
    {
        var (application, version) = (connection.Number("PRAGMA application_id"), connection.Number("PRAGMA user_version"));
        var isNew = application == 0 && version == 0 && connection.Number("SELECT count(*) FROM sqlite_master") == 0;
        if (!isNew && application != ApplicationId)
        {
            throw new StorageException($"{connection.File}: this is the database of another program; say another folder for the storage.");
        }
        if (!isNew && version != Version)
        {
            throw new StorageException(
                $"{connection.File}: it has version {version}, and this program reads version {Version}: a newer program wrote it. Run that one, or give this one another folder; nothing was changed.");
        }
        connection.Execute("PRAGMA journal_mode = WAL");
        Configure(connection);
        if (isNew) Make(connection, replica);
        return ReadHeader(connection, replica);
    }

    private static void Make(SqliteConnection connection, ReplicaName replica)
    {
        var incarnation = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
        // One transaction: after a crash there is all of it or nothing.
        connection.Execute("BEGIN IMMEDIATE");
        connection.Execute(Tables);
        using (var insert = connection.Prepare("INSERT INTO header(replica, incarnation, sequence, purged, clock) VALUES(?, ?, 0, 0, 0)"))
        {
            insert.Bind(1, replica.ToString()).Bind(2, incarnation).Run();
        }
        connection.Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version}; COMMIT"));
    }

    private static StoreHeader ReadHeader(SqliteConnection connection, ReplicaName replica)
    {
        using var read = connection.Prepare("SELECT replica, incarnation, sequence, purged, clock FROM header");
        if (!read.Step()) throw StorageException.Damaged(connection.File, "it has no header");
        var (owner, incarnation) = (read.Text(0), read.Text(1));
        if (!ReplicaName.TryParse(owner, out var name, out _)) throw StorageException.Damaged(connection.File, "its header is not readable");
        if (name != replica)
        {
            throw new StorageException(
                $"{connection.File}: it belongs to replica '{name}', and this one is '{replica}'. A copy would give two replicas the same history: begin with an empty folder, it is filled from the others.");
        }
        var header = new StoreHeader(name, incarnation, read.Int64(2), read.Int64(3), new Stamp((ulong)read.Int64(4)));
        read.Reset();
        return header;
    }
}
