using System.Runtime.InteropServices;
using System.Text;

namespace Florete.Storage.Sqlite;

/// <summary>One connection to one database file. Used by one thread at a time.</summary>
internal sealed unsafe class SqliteConnection : IDisposable
{
    // Only while another process, such as the sqlite3 shell, has the file locked.
    private const int BusyMilliseconds = 5000;

    private readonly List<SqliteStatement> statements = [];
    private nint handle;

    /// <exception cref="StorageException">The library is missing, or the file cannot be opened; the message says what to do.</exception>
    public SqliteConnection(string file)
    {
        File = file;
        try
        {
            var code = NativeSqlite.Open(file, out handle, NativeSqlite.OpenReadWrite | NativeSqlite.OpenCreate | NativeSqlite.OpenNoMutex, 0);
            if (code != NativeSqlite.Ok)
            {
                var failure = Failure(code);
                Dispose();
                throw failure;
            }
        }
        catch (DllNotFoundException e)
        {
            throw new StorageException("SQLite is missing on this machine: install libsqlite3 (Debian: apt-get install libsqlite3-0) and start again.", e);
        }
        _ = NativeSqlite.BusyTimeout(handle, BusyMilliseconds);
    }

    /// <summary>The database file.</summary>
    public string File { get; }

    /// <summary>Is a transaction open?</summary>
    public bool InTransaction => NativeSqlite.GetAutocommit(handle) == 0;

    /// <summary>A statement that lives as long as the connection.</summary>
    /// <exception cref="StorageException">SQLite does not take it.</exception>
    public SqliteStatement Prepare(string sql)
    {
        var bytes = Encoding.UTF8.GetBytes(sql);
        fixed (byte* text = bytes)
        {
            Check(NativeSqlite.Prepare(handle, text, bytes.Length, NativeSqlite.PreparePersistent, out var statement, out _));
            var prepared = new SqliteStatement(this, statement);
            statements.Add(prepared);
            return prepared;
        }
    }

    /// <summary>Runs statements that are used once, separated by semicolons.</summary>
    /// <exception cref="StorageException">One of them fails.</exception>
    public void Execute(string sql)
    {
        var bytes = Encoding.UTF8.GetBytes(sql);
        fixed (byte* begin = bytes)
        {
            var at = begin;
            while (at < begin + bytes.Length)
            {
                Check(NativeSqlite.Prepare(handle, at, (int)(begin + bytes.Length - at), 0, out var statement, out at));
                if (statement == 0) break;
                try
                {
                    int code;
                    while ((code = NativeSqlite.Step(statement)) == NativeSqlite.Row)
                    {
                    }
                    if (code != NativeSqlite.Done) throw Failure(code);
                }
                finally
                {
                    _ = NativeSqlite.Finalize(statement);
                }
            }
        }
    }

    /// <summary>The first column of the first row, as a number.</summary>
    /// <exception cref="StorageException">It fails.</exception>
    public long Number(string sql)
    {
        using var statement = Prepare(sql);
        return statement.Step() ? statement.Int64(0) : 0;
    }

    /// <exception cref="StorageException">The code is not OK.</exception>
    public void Check(int code)
    {
        if (code != NativeSqlite.Ok) throw Failure(code);
    }

    public StorageException Failure(int code)
    {
        var text = Marshal.PtrToStringUTF8(handle == 0 ? NativeSqlite.ErrorText(code) : NativeSqlite.ErrorMessage(handle));
        return (code & 0xFF) switch
        {
            NativeSqlite.Corrupt or NativeSqlite.NotADatabase => StorageException.Damaged(File, text ?? ""),
            NativeSqlite.Full => new StorageException($"{File}: the disk is full; make room. What was acknowledged is safe."),
            NativeSqlite.Busy => new StorageException($"{File}: another program has locked it; end that program."),
            _ => new StorageException($"{File}: SQLite says: {text} (code {code}). Check the disk and the rights of the folder."),
        };
    }

    public void Dispose()
    {
        foreach (var statement in statements.ToArray()) statement.Dispose();
        if (handle != 0) _ = NativeSqlite.Close(handle);
        handle = 0;
    }

    internal void Forget(SqliteStatement statement) => statements.Remove(statement);
}
