namespace Florete.Portals;

/// <summary>
/// The stream of a connection as a <see cref="Stream"/>, for code that knows no pipes (HTTP clients, TLS). Owns the connection. Its errors
/// are <see cref="IOException"/>, as such code expects, with the <see cref="PortalException"/> inside.
/// </summary>
public sealed class PortalStream : Stream
{
    private readonly PortalConnection connection;
    private readonly Stream reader;
    private readonly Stream writer;
    private readonly bool isAbortedByDispose;

    /// <param name="connection">Owned from now on.</param>
    /// <param name="isAbortedByDispose">
    /// False: disposing closes the connection in order. True: at once, for a client that, when it disposes, wants nothing more and owes nothing; the
    /// peer stops what it does for it.
    /// </param>
    /// <exception cref="ArgumentException">The connection has no stream.</exception>
    public PortalStream(PortalConnection connection, bool isAbortedByDispose = false)
    {
        var pipe = connection.Stream ?? throw new ArgumentException("The connection carries no stream.", nameof(connection));
        this.connection = connection;
        this.isAbortedByDispose = isAbortedByDispose;
        reader = pipe.Input.AsStream(leaveOpen: true);
        writer = pipe.Output.AsStream(leaveOpen: true);
    }

    public PortalConnection Connection => connection;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        try
        {
            return reader.Read(buffer, offset, count);
        }
        catch (PortalException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            return await reader.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count)
    {
        try
        {
            writer.Write(buffer, offset, count);
        }
        catch (PortalException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            await writer.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush()
    {
        // Every write is flushed.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override async ValueTask DisposeAsync()
    {
        AbortIfWanted();
        await connection.DisposeAsync().ConfigureAwait(false);
        await base.DisposeAsync().ConfigureAwait(false);
    }

    protected override void Dispose(bool disposing)
    {
        // Closing may wait for the network; whoever disposes synchronously does not wait for it.
        if (disposing)
        {
            AbortIfWanted();
            _ = connection.DisposeAsync().AsTask();
        }
        base.Dispose(disposing);
    }

    private void AbortIfWanted()
    {
        if (isAbortedByDispose && !connection.Closed.IsCancellationRequested)
            connection.Abort(new PortalException(PortalError.Closed, $"{connection.Local} needs the connection no more."));
    }
}
