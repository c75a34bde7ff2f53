using Florete.Storage.Contracts;

namespace Florete.Storage.Sqlite;

/// <summary>Rows as values.</summary>
internal static class SqliteRows
{
    /// <summary>What <see cref="Version"/> reads.</summary>
    public const string Columns = "sequence, state, id, bytes";

    /// <summary>What <see cref="Row"/> reads.</summary>
    public const string RowColumns = "sequence, state, flags, id, stamp, collection, name, unit, author, chain, length(bytes)";

    /// <summary>A version with its body. Its id is computed anew: what the disk has changed is not passed on.</summary>
    /// <exception cref="StorageException">It is not what was stored.</exception>
    public static StoredVersion Version(SqliteStatement row, string file)
    {
        var version = DocumentVersion.Restore(row.Blob(3).ToArray());
        if (version is null || row.Blob(2).Length != VersionId.Bytes || version.Id != VersionId.Read(row.Blob(2)))
        {
            throw StorageException.Damaged(file, $"version {row.Int64(0)} is not what was written");
        }
        return new StoredVersion(row.Int64(0), (VersionState)row.Int64(1), version);
    }

    /// <summary>A version without its body.</summary>
    /// <exception cref="StorageException">It is not what was stored.</exception>
    public static VersionRow Row(SqliteStatement row, string file)
    {
        if (row.Blob(3).Length == VersionId.Bytes && row.Blob(9).Length == ChainHash.Bytes && CollectionName.TryParse(row.Text(5), out var collection, out _)
            && DocumentName.TryParse(row.Text(6), out var name, out _) && UnitName.TryParse(row.Text(7), out var unit, out _)
            && row.Int64(1) is >= (long)VersionState.Current and <= (long)VersionState.HiddenSuperseded)
        {
            return new VersionRow(
                row.Int64(0), (VersionState)row.Int64(1), (VersionFlags)row.Int64(2), VersionId.Read(row.Blob(3)), new Stamp((ulong)row.Int64(4)), new DocumentKey(collection, name, unit),
                row.Text(8), ChainHash.Read(row.Blob(9)), (int)row.Int64(10));
        }
        throw StorageException.Damaged(file, $"version {row.Int64(0)} is not what was written");
    }

    public static byte[]? Chain(SqliteStatement statement, ChainHash hash)
    {
        statement.Bind(1, Blob(hash, stackalloc byte[ChainHash.Bytes]));
        if (!statement.Step()) return null;
        var encoded = statement.Blob(0).ToArray();
        statement.Reset();
        return encoded;
    }

    public static ReadOnlySpan<byte> Blob(VersionId id, Span<byte> room)
    {
        id.Write(room);
        return room;
    }

    public static ReadOnlySpan<byte> Blob(ChainHash hash, Span<byte> room)
    {
        hash.Write(room);
        return room;
    }
}
