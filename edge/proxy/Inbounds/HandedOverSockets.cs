using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// A listener for Kestrel without a port: its connections are sockets that a proxy inbound has accepted and begun to read.
/// </summary>
internal sealed class HandedOverSockets : IConnectionListenerFactory, IConnectionListener
{
    // A client that has gone leaves nothing to read, so it is looked for: seldom enough to cost nothing, often enough to free what waits for it.
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(2);

    // One that went without a word is found by its machine's answer to a probe.
    private const int ProbeAfterSeconds = 30;
    private const int ProbeIntervalSeconds = 10;

    // The inbound waits for room: back-pressure, not a queue.
    private readonly Channel<ConnectionContext> arriving = Channel.CreateBounded<ConnectionContext>(128);

    /// <summary>Stands for this listener in Kestrel's options.</summary>
    public static EndPoint EndPoint { get; } = new HandedOverEndPoint();

    EndPoint IConnectionListener.EndPoint => EndPoint;

    /// <summary>Hands the socket to Kestrel and returns when it is done with it.</summary>
    public async Task ServeAsync(Socket socket, byte[] received, HttpScope scope)
    {
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, ProbeAfterSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, ProbeIntervalSeconds);
        var connection = new HandedOverConnection(socket, received, scope);
        await using var looking = new Timer(static state => ((HandedOverConnection)state!).AbortIfReset(), connection, LookInterval, LookInterval).ConfigureAwait(false);
        try
        {
            await arriving.Writer.WriteAsync(connection).ConfigureAwait(false);
        }
        catch (ChannelClosedException)
        {
            return;
        }
        await connection.Done.ConfigureAwait(false);
    }

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        await arriving.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false) && arriving.Reader.TryRead(out var connection) ? connection : null;

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        arriving.Writer.TryComplete();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    private sealed class HandedOverEndPoint : EndPoint
    {
        public override string ToString() => "proxy inbounds";
    }

    private sealed class HandedOverConnection : ConnectionContext
    {
        private readonly Socket socket;
        // Not disposed: the server may abort what it has disposed, when a timeout and an end meet. It holds nothing but memory.
        private readonly CancellationTokenSource closed = new();
        private readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public HandedOverConnection(Socket socket, byte[] received, HttpScope scope)
        {
            this.socket = socket;
            var stream = new ResumedStream(socket, received);
            Transport = new Duplex(
                PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 16 * 1024, useZeroByteReads: true)),
                PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: 16 * 1024)));
            Features.Set(scope);
            LocalEndPoint = socket.LocalEndPoint;
            RemoteEndPoint = socket.RemoteEndPoint;
            ConnectionClosed = closed.Token;
        }

        public Task Done => done.Task;

        public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override IDuplexPipe Transport { get; set; }

        /// <summary>
        /// Ends what runs for a client that is gone: a request that is answered late, or never, is not read from, so nothing else would notice. One that
        /// has only ended its sending side still waits for its answer.
        /// </summary>
        public void AbortIfReset()
        {
            try
            {
                if (!socket.Poll(TimeSpan.Zero, SelectMode.SelectError)) return;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // It is closed, and the server knows, or is told now.
            }
            Abort(new ConnectionAbortedException("The client has gone."));
        }

        public override void Abort(ConnectionAbortedException abortReason)
        {
            socket.Close();
            closed.Cancel();
        }

        public override async ValueTask DisposeAsync()
        {
            await Transport.Input.CompleteAsync().ConfigureAwait(false);
            await Transport.Output.CompleteAsync().ConfigureAwait(false);
            done.TrySetResult();
            await base.DisposeAsync().ConfigureAwait(false);
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>A socket's stream that begins with what was read from it before.</summary>
    private sealed class ResumedStream(Socket socket, byte[] received) : NetworkStream(socket, ownsSocket: false)
    {
        private ReadOnlyMemory<byte> rest = received;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (rest.IsEmpty) return base.ReadAsync(buffer, cancellationToken);
            var count = Math.Min(rest.Length, buffer.Length);
            rest[..count].CopyTo(buffer);
            rest = count == rest.Length ? default : rest[count..];
            return new ValueTask<int>(count);
        }
    }
}
