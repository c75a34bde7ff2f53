using System.Buffers;
using System.Collections.Concurrent;
using System.Threading.Channels;
using Florete.Portals;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Florete.AspNetCore;

/// <summary>
/// Keeps one identity published for Kestrel as long as the server runs, and gives arriving connections to the listener of their protocol.
/// </summary>
internal sealed partial class PortalPublisher(IProgramPortal portal, HttpProtocols protocols, ILogger<PortalPublisher> logger) : IAcceptor, IAsyncDisposable
{
    // flor is back within a second of its restart, and asking costs little.
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(2);

    // A flor that hangs holds up the start of nobody.
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(2);

    // As Kestrel gives for request headers, which begin with the bytes that are waited for.
    private static readonly TimeSpan FirstBytesTimeout = TimeSpan.FromSeconds(30);

    // Connections whose protocol is not known yet. They hold a buffer each and nothing else.
    private const int MaxUndecided = 512;

    // A stopping server waits so long for callers to end what they have been answered on.
    private static readonly TimeSpan FinishLimit = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<PortalConnectionContext, byte> open = new();
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private PortalListener? http1, http2;
    private Task publishing = Task.CompletedTask;
    private int undecided;

    public bool IsStopping => stopping.IsCancellationRequested;

    // RFC 9113 §3.4; no HTTP/1.1 method begins like it.
    private static ReadOnlySpan<byte> Preface => "PRI "u8;

    /// <summary>Makes the listener of one protocol; with the last of them the identity is published, or at least tried to be.</summary>
    public async Task<PortalListener> BindAsync(PortalEndPoint endpoint, CancellationToken cancellationToken)
    {
        var listener = new PortalListener(this, endpoint);
        lock (gate)
        {
            if (endpoint.Protocol == HttpProtocols.Http1) http1 = listener;
            else http2 = listener;
            if ((protocols.HasFlag(HttpProtocols.Http1) && http1 is null) || (protocols.HasFlag(HttpProtocols.Http2) && http2 is null)) return listener;
            publishing = Task.Run(PublishAsync, CancellationToken.None);
        }
        // What is wrong for good (a path too long for a socket, say) fails the start; a flor that does not run yet does not.
        await Task.WhenAny(tried.Task, Task.Delay(StartPatience, cancellationToken)).ConfigureAwait(false);
        if (tried.Task.IsFaulted) await tried.Task.ConfigureAwait(false);
        return listener;
    }

    public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (IsStopping) throw new PortalException(PortalError.TargetFailed, "The server stops.");
        var isDecided = protocols != HttpProtocols.Http1AndHttp2;
        if (!isDecided && Interlocked.Increment(ref undecided) > MaxUndecided)
        {
            Interlocked.Decrement(ref undecided);
            throw new PortalException(PortalError.LimitReached, $"The server has {MaxUndecided} connections already on which nothing was asked; try again later.");
        }
        var context = new PortalConnectionContext(connection, closed => open.TryRemove(closed, out _));
        open[context] = 0;
        if (isDecided) await OfferAsync(context, (http1 ?? http2)!, cancellationToken).ConfigureAwait(false);
        else _ = DecideAsync(context);
    }

    /// <summary>Withdraws the identity.</summary>
    public async Task StopAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await publishing.ConfigureAwait(false);
    }

    /// <summary>Waits a little for connections that are done to be ended by their callers too.</summary>
    public async ValueTask DisposeAsync()
    {
        var all = Task.WhenAll(open.Keys.Select(static c => c.Finished));
        await Task.WhenAny(all, Task.Delay(FinishLimit)).ConfigureAwait(false);
        foreach (var connection in open.Keys) connection.Abort(new ConnectionAbortedException("The server stops."));
    }

    private async Task PublishAsync()
    {
        var delay = LeastDelay;
        while (!IsStopping)
        {
            try
            {
                var publication = await portal.PublishAsync(this, stopping.Token).ConfigureAwait(false);
                await using (publication.ConfigureAwait(false))
                {
                    Published(portal);
                    delay = LeastDelay;
                    tried.TrySetResult();
                    var reason = await publication.Ended.WaitAsync(stopping.Token).ConfigureAwait(false);
                    Ended(portal, reason?.Message ?? "it was withdrawn");
                }
            }
            catch (OperationCanceledException) when (IsStopping)
            {
                break;
            }
            catch (PortalException e)
            {
                NotPublished(portal, e.Message);
            }
            catch (Exception e) when (tried.Task.IsCompleted)
            {
                Failed(e, portal);
            }
            catch (Exception e)
            {
                tried.TrySetException(e);
                return;
            }
            tried.TrySetResult();
            await Task.Delay(delay, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < MostDelay ? delay * 2 : MostDelay;
        }
        tried.TrySetResult();
    }

    // Which protocol the caller speaks is seen by its first bytes; it may take its time to send them.
    private async Task DecideAsync(PortalConnectionContext context)
    {
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token);
            patience.CancelAfter(FirstBytesTimeout);
            var input = context.Transport.Input;
            while (true)
            {
                var read = await input.ReadAsync(patience.Token).ConfigureAwait(false);
                var (isHttp2, isKnown) = Compare(read.Buffer);
                input.AdvanceTo(read.Buffer.Start, isKnown ? read.Buffer.Start : read.Buffer.End);
                if (isKnown || read.IsCompleted)
                {
                    await OfferAsync(context, isHttp2 && isKnown ? http2! : http1!, patience.Token).ConfigureAwait(false);
                    return;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or PortalException)
        {
            context.Abort(new ConnectionAbortedException(e is OperationCanceledException ? "Nothing was asked in time, or the server stops." : e.Message, e));
            await context.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref undecided);
        }
    }

    private static (bool IsHttp2, bool IsKnown) Compare(ReadOnlySequence<byte> received)
    {
        Span<byte> start = stackalloc byte[4];
        var length = (int)Math.Min(received.Length, start.Length);
        received.Slice(0, length).CopyTo(start);
        var isHttp2 = Preface.StartsWith(start[..length]);
        return (isHttp2, !isHttp2 || length == start.Length);
    }

    private static async Task OfferAsync(PortalConnectionContext context, PortalListener listener, CancellationToken cancellationToken)
    {
        try
        {
            await listener.OfferAsync(context, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is ChannelClosedException or OperationCanceledException)
        {
            context.Abort(new ConnectionAbortedException("The server stops, or is too busy."));
            await context.DisposeAsync().ConfigureAwait(false);
            throw new PortalException(PortalError.TargetFailed, "The server stops, or is too busy to take the connection in time.", e);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Published through {Portal}")]
    private partial void Published(IProgramPortal portal);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No longer published through {Portal}: {Reason} Trying again")]
    private partial void Ended(IProgramPortal portal, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not published through {Portal}: {Reason} Trying again")]
    private partial void NotPublished(IProgramPortal portal, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Publishing through {Portal} failed; trying again")]
    private partial void Failed(Exception e, IProgramPortal portal);
}
