using System.Text;

namespace Florete.Storage.Sqlite;

/// <summary>
/// A prepared statement: bind all parameters (they count from 1), step, read columns (they count from 0), reset. Used by one thread at a time.
/// </summary>
internal sealed unsafe class SqliteStatement(SqliteConnection connection, nint handle) : IDisposable
{
    private nint handle = handle;

    public SqliteStatement Bind(int index, long value)
    {
        connection.Check(NativeSqlite.BindInt64(handle, index, value));
        return this;
    }

    public SqliteStatement Bind(int index, ReadOnlySpan<byte> value)
    {
        // A null pointer would be NULL, not empty.
        byte nothing = 0;
        fixed (byte* bytes = value)
        {
            connection.Check(NativeSqlite.BindBlob(handle, index, bytes == null ? &nothing : bytes, value.Length, NativeSqlite.Transient));
        }
        return this;
    }

    public SqliteStatement Bind(int index, string value)
    {
        Span<byte> text = stackalloc byte[512];
        text = Encoding.UTF8.GetByteCount(value) is var length && length <= text.Length ? text[..length] : new byte[length];
        Encoding.UTF8.GetBytes(value, text);
        byte nothing = 0;
        fixed (byte* bytes = text)
        {
            connection.Check(NativeSqlite.BindText(handle, index, bytes == null ? &nothing : bytes, length, NativeSqlite.Transient));
        }
        return this;
    }

    /// <summary>True: there is a row. False: done, and reset.</summary>
    /// <exception cref="StorageException">It fails; it has been reset.</exception>
    public bool Step()
    {
        var code = NativeSqlite.Step(handle);
        if (code == NativeSqlite.Row) return true;
        if (code == NativeSqlite.Done)
        {
            Reset();
            return false;
        }
        var failure = connection.Failure(code);
        Reset();
        throw failure;
    }

    /// <summary>Runs a statement that gives no rows.</summary>
    public void Run()
    {
        if (Step()) Reset();
    }

    public void Reset() => _ = NativeSqlite.Reset(handle);

    public long Int64(int column) => NativeSqlite.ColumnInt64(handle, column);

    /// <summary>Valid until the next step or reset.</summary>
    public ReadOnlySpan<byte> Blob(int column)
    {
        var bytes = NativeSqlite.ColumnBlob(handle, column);
        return bytes == null ? default : new ReadOnlySpan<byte>(bytes, NativeSqlite.ColumnBytes(handle, column));
    }

    public string Text(int column)
    {
        var bytes = NativeSqlite.ColumnText(handle, column);
        return bytes == null ? "" : Encoding.UTF8.GetString(bytes, NativeSqlite.ColumnBytes(handle, column));
    }

    /// <summary>Valid until the next step or reset.</summary>
    public ReadOnlySpan<byte> Utf8(int column)
    {
        var bytes = NativeSqlite.ColumnText(handle, column);
        return bytes == null ? default : new ReadOnlySpan<byte>(bytes, NativeSqlite.ColumnBytes(handle, column));
    }

    public void Dispose()
    {
        if (handle == 0) return;
        _ = NativeSqlite.Finalize(handle);
        handle = 0;
        connection.Forget(this);
    }
}
