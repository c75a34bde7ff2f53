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

    // What is no HTTP/2 is told so by Kestrel's HTTP/1.
    private static readonly CallerProtocol Http1 = CallerProtocol.Anything("HTTP/1");
    private static readonly CallerProtocol[] Both = [PortalHttp.Http2Protocol, Http1];

    // A stopping server waits so long for callers to end what they have been answered on.
    private static readonly TimeSpan FinishLimit = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<PortalConnectionContext, byte> open = new();
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private PortalListener? http1, http2;
    private FirstBytesSorter? sorter;
    private Task publishing = Task.CompletedTask;

    public bool IsStopping => stopping.IsCancellationRequested;

    /// <summary>Makes the listener of one protocol; with the last of them the identity is published, or at least tried to be.</summary>
    public async Task<PortalListener> BindAsync(PortalEndPoint endpoint, CancellationToken cancellationToken)
    {
        var listener = new PortalListener(this, endpoint);
        lock (gate)
        {
            if (endpoint.Protocol == HttpProtocols.Http1) http1 = listener;
            else http2 = listener;
            if ((protocols.HasFlag(HttpProtocols.Http1) && http1 is null) || (protocols.HasFlag(HttpProtocols.Http2) && http2 is null)) return listener;
            if (protocols == HttpProtocols.Http1AndHttp2)
                sorter = new FirstBytesSorter(static () => Both, (connection, protocol, patience) => OfferAsync(connection, protocol == Http1 ? http1! : http2!, patience));
            publishing = Task.Run(PublishAsync, CancellationToken.None);
        }
        // What is wrong for good (a path too long for a socket, say) fails the start; a flor that does not run yet does not.
        await Task.WhenAny(tried.Task, Task.Delay(StartPatience, cancellationToken)).ConfigureAwait(false);
        if (tried.Task.IsFaulted) await tried.Task.ConfigureAwait(false);
        return listener;
    }

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (IsStopping) throw new PortalException(PortalError.TargetFailed, "The server stops.");
        return sorter?.AcceptAsync(connection, cancellationToken) ?? OfferAsync(connection, (http1 ?? http2)!, cancellationToken);
    }

    /// <summary>Withdraws the identity.</summary>
    public async Task StopAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await publishing.ConfigureAwait(false);
        if (sorter is not null) await sorter.DisposeAsync().ConfigureAwait(false);
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

    private async ValueTask OfferAsync(PortalConnection connection, PortalListener listener, CancellationToken cancellationToken)
    {
        var context = new PortalConnectionContext(connection, closed => open.TryRemove(closed, out _));
        open[context] = 0;
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
