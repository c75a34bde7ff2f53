using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>An identity that is published at this vertex, with the program that takes its connections.</summary>
internal sealed class Publication(TransportEndpoint endpoint, HeldIdentity identity, IAcceptor acceptor) : IAsyncDisposable
{
    public HeldIdentity Identity { get; } = identity;

    /// <summary>
    /// Asks the acceptor, outside the turns of the loop unless it wants them; <paramref name="decided"/> runs in a turn with null (accepted) or the refusal.
    /// </summary>
    public void Offer(PortalConnection connection, Action<PortalException?> decided)
    {
        var mode = connection.Stream is null ? ConnectionMode.Datagram : ConnectionMode.Stream;
        if ((acceptor.Modes & mode) == 0)
        {
            decided(new PortalException(PortalError.TargetFailed, $"The program behind {Identity.Id} takes no {mode.ToString().ToLowerInvariant()} connections."));
            return;
        }
        var loop = endpoint.Loop;
        var patience = CancellationTokenSource.CreateLinkedTokenSource(connection.Closed);
        var timer = loop.CreateTimer(patience.Cancel);
        timer.Set(loop.Now + endpoint.Options.AnswerTimeout);
        (acceptor.RunsInTurn ? loop : loop.UserScheduler).Schedule(async _ =>
        {
            var refusal = await AskAsync(connection, patience.Token);
            loop.Post(() =>
            {
                timer.Cancel();
                patience.Dispose();
                decided(refusal);
            });
        }, null);
    }

    public async ValueTask DisposeAsync() => await endpoint.Loop.RunAsync(() =>
    {
        endpoint.Withdraw(this);
        return Task.CompletedTask;
    });

    private async Task<PortalException?> AskAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        try
        {
            await acceptor.AcceptAsync(connection, cancellationToken);
            return null;
        }
        catch (PortalException e)
        {
            return e;
        }
        catch (OperationCanceledException)
        {
            return new PortalException(PortalError.TimedOut, $"The program behind {Identity.Id} did not answer in time.");
        }
        catch (Exception e)
        {
            endpoint.Log.AcceptorFailed(e, Identity.Id);
            return new PortalException(PortalError.TargetFailed, $"The program behind {Identity.Id} failed to take the connection.");
        }
    }
}
