using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Bus;

/// <summary>Keeps the member's identity published, and runs the connections that arrive.</summary>
internal sealed class BusPublisher(
    IProgramPortal portal, Func<PortalConnection, CancellationToken, Task> receive, Action<SpiffeId, SpiffeId?> setOwn, ILogger logger, CancellationToken stopping) : IAcceptor
{
    // flor is back within a second of its restart, and asking costs little.
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<Task, byte> connections = new();

    public async Task RunAsync()
    {
        var delay = LeastDelay;
        var told = "";
        while (!stopping.IsCancellationRequested)
        {
            string reason;
            try
            {
                var publication = await portal.PublishAsync(this, stopping).ConfigureAwait(false);
                await using (publication.ConfigureAwait(false))
                {
                    setOwn(publication.Identity, publication.Vertex);
                    logger.Published(portal);
                    (delay, told) = (LeastDelay, "");
                    reason = (await publication.Ended.WaitAsync(stopping).ConfigureAwait(false))?.Message ?? "it was withdrawn.";
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (PortalException e)
            {
                reason = e.Message;
            }
            if (reason != told) logger.NotPublished(portal, told = reason);
            await Task.Delay(delay, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < MostDelay ? delay * 2 : MostDelay;
        }
        await Task.WhenAll(connections.Keys).ConfigureAwait(false);
    }

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (stopping.IsCancellationRequested) throw new PortalException(PortalError.TargetFailed, "The bus stops.");
        if (connections.Count >= 2 * BusLimits.MaxPeers)
            throw new PortalException(PortalError.LimitReached, $"{connections.Count} members send to this one already, the limit.");
        var running = Task.Run(() => receive(connection, stopping), CancellationToken.None);
        connections[running] = 0;
        _ = running.ContinueWith(
            t =>
            {
                connections.TryRemove(t, out _);
                if (t.Exception is { } e) logger.Failed(e);
            },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return ValueTask.CompletedTask;
    }
}
