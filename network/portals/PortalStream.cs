namespace Florete.Portals;

/// <summary>
/// The stream of a connection as a <see cref="Stream"/>, for code that knows no pipes (HTTP clients, TLS). Owns the connection. Disposing
/// it closes the connection in order.
/// </summary>
public sealed class PortalStream : Stream
{
    private readonly PortalConnection connection;
    private readonly Stream reader;
    private readonly Stream writer;

    /// <exception cref="ArgumentException">The connection has no stream.</exception>
    public PortalStream(PortalConnection connection)
    {
        var pipe = connection.Stream ?? throw new ArgumentException("The connection carries no stream.", nameof(connection));
        this.connection = connection;
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

    public override int Read(byte[] buffer, int offset, int count) => reader.Read(buffer, offset, count);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        reader.ReadAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        reader.ReadAsync(buffer, offset, count, cancellationToken);

    public override void Write(byte[] buffer, int offset, int count) => writer.Write(buffer, offset, count);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        writer.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        writer.WriteAsync(buffer, offset, count, cancellationToken);

    public override void Flush()
    {
        // Every write is flushed.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override async ValueTask DisposeAsync()
    {
        await connection.DisposeAsync().ConfigureAwait(false);
        await base.DisposeAsync().ConfigureAwait(false);
    }

    protected override void Dispose(bool disposing)
    {
        // Closing may wait for the network; whoever disposes synchronously does not wait for it.
        if (disposing) _ = connection.DisposeAsync().AsTask();
        base.Dispose(disposing);
    }
}
