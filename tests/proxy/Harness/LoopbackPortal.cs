using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy.Tests.Harness;

/// <summary>
/// A portal of a layer with one vertex: connects callers to what is published in this process, with bounded pipes and the contract's
/// endings (half-close, abort). <see cref="Refuse"/> stands for the bounds.
/// </summary>
internal sealed class LoopbackPortal(SpiffeId vertex) : IPortal
{
    private readonly ConcurrentDictionary<SpiffeId, Publication> published = new();
    private readonly ConcurrentDictionary<Channel<ServiceChange>, byte> watchers = new();

    /// <summary>Says why a caller may not connect to a target; null allows.</summary>
    public Func<SpiffeId, SpiffeId, PortalException?> Refuse { get; set; } = static (_, _) => null;

    public IReadOnlyCollection<SpiffeId> Published => [.. published.Keys];

    public ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default)
    {
        var publication = new Publication(this, identity.Id, acceptor);
        if (!published.TryAdd(identity.Id, publication)) throw new PortalException(PortalError.Refused, $"{identity.Id} is published already.");
        Tell(new ServiceChange(identity.Id, vertex, true));
        return new ValueTask<IAsyncDisposable>(publication);
    }

    public async ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default)
    {
        if (Refuse(caller.Id, target) is { } refusal) throw refusal;
        if (!published.TryGetValue(target, out var publication)) throw new PortalException(PortalError.NotFound, $"Nothing publishes {target}.");
        var (near, far) = LoopbackConnection.Pair(caller.Id, target, vertex);
        try
        {
            await publication.Acceptor.AcceptAsync(far, cancellationToken);
        }
        catch (PortalException e)
        {
            near.Abort(e);
            throw;
        }
        return near;
    }

    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
        ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var channel = Channel.CreateBounded<ServiceChange>(1000);
        watchers.TryAdd(channel, 0);
        try
        {
            foreach (var id in published.Keys.Where(Matches)) yield return new ServiceChange(id, vertex, true);
            while (watch)
            {
                var change = await channel.Reader.ReadAsync(cancellationToken);
                if (Matches(change.Service)) yield return change;
            }
        }
        finally
        {
            watchers.TryRemove(channel, out _);
        }

        bool Matches(SpiffeId id) => (query.Target is null || query.Target == id) && (query.Kind is null || query.Kind == id.Kind);
    }

    private void Tell(ServiceChange change)
    {
        foreach (var watcher in watchers.Keys) watcher.Writer.TryWrite(change);
    }

    private sealed class Publication(LoopbackPortal portal, SpiffeId id, IAcceptor acceptor) : IAsyncDisposable
    {
        public IAcceptor Acceptor => acceptor;

        public ValueTask DisposeAsync()
        {
            if (portal.published.TryRemove(KeyValuePair.Create(id, this))) portal.Tell(new ServiceChange(id, portal.Vertex, false));
            return ValueTask.CompletedTask;
        }
    }

    private SpiffeId Vertex => vertex;
}

/// <summary>One end of a connection in memory.</summary>
internal sealed class LoopbackConnection : PortalConnection
{
    private static readonly PipeOptions Options = new(
        pauseWriterThreshold: 256 * 1024, resumeWriterThreshold: 128 * 1024, minimumSegmentSize: 32 * 1024, useSynchronizationContext: false);

    private readonly CancellationTokenSource closed = new();
    private readonly Pipe incoming;
    private readonly Pipe outgoing;
    private LoopbackConnection peer = null!;
    private int ended;

    private LoopbackConnection(SpiffeId local, SpiffeId remote, SpiffeId vertex, Pipe incoming, Pipe outgoing)
    {
        (Local, Remote, RemoteVertex, this.incoming, this.outgoing) = (local, remote, vertex, incoming, outgoing);
        Stream = new Duplex(incoming.Reader, new Writer(this, outgoing.Writer));
    }

    public override SpiffeId Local { get; }

    public override SpiffeId Remote { get; }

    public override SpiffeId RemoteVertex { get; }

    public override IDuplexPipe Stream { get; }

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => reason;

    private volatile PortalException? reason;

    public static (LoopbackConnection Caller, LoopbackConnection Target) Pair(SpiffeId caller, SpiffeId target, SpiffeId vertex)
    {
        var (there, back) = (new Pipe(Options), new Pipe(Options));
        var near = new LoopbackConnection(caller, target, vertex, back, there);
        var far = new LoopbackConnection(target, caller, vertex, there, back) { peer = near };
        near.peer = far;
        return (near, far);
    }

    public override void Abort(PortalException reason)
    {
        End(reason);
        peer.End(reason);
    }

    public override async ValueTask DisposeAsync()
    {
        if (ended != 0) return;
        await outgoing.Writer.CompleteAsync();
        await incoming.Reader.CompleteAsync();
        if (Interlocked.Exchange(ref ended, 1) == 0) await closed.CancelAsync();
    }

    private void End(PortalException why)
    {
        if (Interlocked.Exchange(ref ended, 1) != 0) return;
        reason = why;
        // Wakes a reader with the reason, and a waiting writer. Not by completing the peer's reader: it may hold a buffer just now, whose memory would
        // be given to somebody else.
        incoming.Writer.Complete(why);
        outgoing.Writer.CancelPendingFlush();
        closed.Cancel();
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>Says that nobody reads any more once the connection was aborted, as a stream of the mesh does.</summary>
    private sealed class Writer(LoopbackConnection connection, PipeWriter inner) : PipeWriter
    {
        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override Memory<byte> GetMemory(int sizeHint = 0) => inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => inner.GetSpan(sizeHint);

        public override void Advance(int bytes) => inner.Advance(bytes);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            if (connection.reason is not null) return new FlushResult(isCanceled: false, isCompleted: true);
            var result = await inner.FlushAsync(cancellationToken);
            return connection.reason is null ? result : new FlushResult(isCanceled: false, isCompleted: true);
        }
    }
}
