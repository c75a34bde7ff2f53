using System.IO.Pipelines;
using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;

namespace Florete.PortalSocket;

/// <summary>A connection of the mesh that reaches this process through a portal socket.</summary>
internal sealed class PortalSocketConnection : PortalConnection
{
    // Whoever still sends when we have closed is given so long to notice.
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(5);

    private readonly Socket socket;
    private readonly ConnectionEnds ends;
    private readonly CancellationTokenSource closed = new();
    private readonly Lock gate = new();
    private bool hasInputEnded;
    private bool hasOutputEnded;
    private bool hasEnded;
    private volatile PortalException? closeReason;

    /// <param name="socket">In stream mode; owned.</param>
    /// <param name="ends">Whom it joins.</param>
    public PortalSocketConnection(Socket socket, ConnectionEnds ends)
    {
        (this.socket, this.ends) = (socket, ends);
        var stream = new WatchedStream(this, socket);
        Stream = new Duplex(
            PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 64 * 1024, minimumReadSize: 4096, leaveOpen: true, useZeroByteReads: true)),
            new HalfClosingWriter(this, PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: 32 * 1024, leaveOpen: true))));
        Closed = closed.Token;
    }

    public override SpiffeId Local => ends.Local;

    public override SpiffeId Remote => ends.Remote;

    public override SpiffeId RemoteVertex => ends.RemoteVertex;

    public override IDuplexPipe Stream { get; }

    public override CancellationToken Closed { get; }

    public override PortalException? CloseReason => closeReason;

    public override void Abort(PortalException reason)
    {
        End(reason);
        socket.Close();
    }

    public override async ValueTask DisposeAsync()
    {
        await Stream.Output.CompleteAsync().ConfigureAwait(false);
        bool drain;
        lock (gate) drain = !hasInputEnded && !hasEnded;
        // Closing with unread bytes resets the socket (unix(7)) and might take what was written with it.
        if (drain) await DrainAsync().ConfigureAwait(false);
        End(null);
        await Stream.Input.CompleteAsync().ConfigureAwait(false);
        socket.Dispose();
    }

    private async Task DrainAsync()
    {
        using var limit = new CancellationTokenSource(DrainLimit);
        try
        {
            while (true)
            {
                var read = await Stream.Input.ReadAsync(limit.Token).ConfigureAwait(false);
                Stream.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException or SocketException or PortalException)
        {
            // Its time is over, or it is gone.
        }
    }

    // An orderly end leaves the other direction open until we end it too. Flor that closes the whole socket before has aborted the stream, or
    // is gone, and what has come is not all.
    private void EndInput()
    {
        var isCut = false;
        lock (gate)
        {
            hasInputEnded = true;
            if (!hasOutputEnded)
            {
                if (!IsClosedByPeer()) return;
                isCut = true;
            }
        }
        End(isCut ? new PortalException(PortalError.Closed, $"The connection to {ends.Remote} was cut off: it was aborted, or flor ended.") : null);
        if (isCut) throw closeReason!;
    }

    // Sending nothing fails at once when nobody is left to receive it (EPIPE, unix(7)); it sends no signal and no byte.
    private bool IsClosedByPeer()
    {
        try
        {
            socket.Send(ReadOnlySpan<byte>.Empty);
            return false;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return true;
        }
    }

    private PortalException Fail(IOException e)
    {
        End(new PortalException(PortalError.Closed, $"The connection to {ends.Remote} was cut off: it was aborted, or flor ended.", e));
        return closeReason ?? new PortalException(PortalError.Closed, "The connection has ended.", e);
    }

    private void EndOutput()
    {
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is gone already.
        }
        lock (gate)
        {
            hasOutputEnded = true;
            if (!hasInputEnded) return;
        }
        End(null);
    }

    private void End(PortalException? reason)
    {
        lock (gate)
        {
            if (hasEnded) return;
            hasEnded = true;
            closeReason = reason;
        }
        closed.Cancel();
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class WatchedStream(PortalSocketConnection connection, Socket socket) : NetworkStream(socket, ownsSocket: false)
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                var count = await base.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
                if (count == 0 && !buffer.IsEmpty) connection.EndInput();
                return count;
            }
            catch (IOException e)
            {
                throw connection.Fail(e);
            }
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                await base.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
            }
            catch (IOException e)
            {
                throw connection.Fail(e);
            }
        }
    }

    /// <summary>Completing it is a half-close.</summary>
    private sealed class HalfClosingWriter(PortalSocketConnection connection, PipeWriter inner) : PipeWriter
    {
        private int completed;

        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override void Advance(int bytes) => inner.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => inner.GetSpan(sizeHint);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => inner.FlushAsync(cancellationToken);

        public override void Complete(Exception? exception = null)
        {
            if (Interlocked.Exchange(ref completed, 1) != 0) return;
            inner.Complete(exception);
            Finish(exception);
        }

        public override async ValueTask CompleteAsync(Exception? exception = null)
        {
            if (Interlocked.Exchange(ref completed, 1) != 0) return;
            try
            {
                await inner.CompleteAsync(exception).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or PortalException)
            {
                exception ??= e;
            }
            Finish(exception);
        }

        private void Finish(Exception? exception)
        {
            if (exception is null) connection.EndOutput();
            else connection.Abort(exception as PortalException ?? new PortalException(PortalError.Closed, exception.Message, exception));
        }
    }
}
