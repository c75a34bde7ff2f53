using System.Buffers;
using System.IO.Pipelines;
using Florete.Identities;
using Florete.Portals;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Florete.AspNetCore;

/// <summary>
/// A portal connection as Kestrel has it. What arrives is read all the time into a bounded pipe, as Kestrel's own transports do: that is how the end of
/// a caller is noticed while its request runs and nobody reads.
/// </summary>
internal sealed class PortalConnectionContext : ConnectionContext, IPortalConnectionFeature
{
    // Unread bytes of a caller; beyond it the connection's flow control holds it back.
    private const int MaxUnreadBytes = 256 * 1024;

    // A caller that has been answered in full gets so long to end its side too (a connection that is closed before may lose what it was sent).
    private static readonly TimeSpan LingerLimit = TimeSpan.FromSeconds(5);

    private static readonly PipeOptions Options = new(
        readerScheduler: PipeScheduler.ThreadPool, writerScheduler: PipeScheduler.ThreadPool, pauseWriterThreshold: MaxUnreadBytes,
        resumeWriterThreshold: MaxUnreadBytes / 2, minimumSegmentSize: 16 * 1024, useSynchronizationContext: false);

    private readonly PortalConnection connection;
    private readonly Action<PortalConnectionContext> onFinished;
    private readonly Pipe received = new(Options);
    // Not disposed: Kestrel may abort what it has disposed, when a timeout and an end meet. It holds nothing but memory.
    private readonly CancellationTokenSource closed = new();
    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task reading;
    private int isDisposed;

    /// <param name="connection">With a stream; owned.</param>
    /// <param name="onFinished">Told when the connection is over and its memory freed.</param>
    public PortalConnectionContext(PortalConnection connection, Action<PortalConnectionContext> onFinished)
    {
        (this.connection, this.onFinished) = (connection, onFinished);
        var stream = connection.Stream ?? throw new ArgumentException("The connection carries no stream.", nameof(connection));
        Transport = new Duplex(received.Reader, new PortalOutput(stream.Output, OnGone));
        Features.Set<IPortalConnectionFeature>(this);
        ConnectionClosed = closed.Token;
        connection.Closed.UnsafeRegister(static context => ((PortalConnectionContext)context!).OnGone(), this);
        reading = ReadAsync(stream.Input);
    }

    public SpiffeId Service => connection.Local;

    public SpiffeId Caller => connection.Remote;

    public SpiffeId CallerVertex => connection.RemoteVertex;

    public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    /// <summary>Completes when the connection is over and its memory freed.</summary>
    public Task Finished => finished.Task;

    // Kestrel gives no reason when the caller has gone.
    public override void Abort(ConnectionAbortedException? abortReason)
    {
        connection.Abort(new PortalException(PortalError.Closed, abortReason?.Message ?? "The server ended the connection.", abortReason));
        OnGone();
    }

    /// <summary>Ends the server's side; the rest follows in the background, so that a caller that is slow to end its side holds nobody up.</summary>
    public override async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref isDisposed, 1) != 0) return;
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        _ = FinishAsync();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ReadAsync(PipeReader input)
    {
        Exception? fault = null;
        try
        {
            var isRead = true;
            while (true)
            {
                var read = await input.ReadAsync().ConfigureAwait(false);
                if (isRead)
                {
                    foreach (var piece in read.Buffer) received.Writer.Write(piece.Span);
                }
                input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted || read.IsCanceled) break;
                // Once Kestrel has done with it, the rest is thrown away.
                if (isRead) isRead = !(await received.Writer.FlushAsync().ConfigureAwait(false)).IsCompleted;
            }
        }
        catch (Exception e) when (e is PortalException or IOException or InvalidOperationException)
        {
            fault = new ConnectionResetException(e.Message, e);
        }
        await received.Writer.CompleteAsync(fault).ConfigureAwait(false);
        // As Kestrel's sockets: a caller that ends its sending side is taken to have gone, though it may still read.
        OnGone();
    }

    private async Task FinishAsync()
    {
        try
        {
            await Task.WhenAny(reading, Task.Delay(LingerLimit)).ConfigureAwait(false);
            if (!reading.IsCompleted) connection.Abort(new PortalException(PortalError.Closed, "The connection was answered and ended, and is not needed any more."));
            await reading.ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            onFinished(this);
            finished.TrySetResult();
        }
    }

    // Whoever waits for it runs on a thread of its own, not on the reader's.
    private void OnGone()
    {
        if (!closed.IsCancellationRequested) _ = closed.CancelAsync();
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
