using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Asks instances one after another until one takes the connection. One that is silent for a while is not given up: the next is asked beside it, and the
/// first to answer wins (as RFC 8305 does with addresses), so that a dead instance costs half a second and a slow path nothing. One race; inside turns.
/// </summary>
/// <param name="loop">Of the endpoint.</param>
/// <param name="ask">Asks one instance.</param>
/// <param name="patience">How long the next waits for the answer of this one.</param>
internal sealed class InstanceRace(
    EventLoop loop, Func<SpiffeId, CancellationToken, Task<PortalConnection>> ask, Func<SpiffeId, TimeSpan> patience)
{
    private readonly List<(SpiffeId Vertex, Task<PortalConnection> Answer)> asked = [];

    /// <summary>Told of every instance that failed, or, with null, was silent.</summary>
    public Action<SpiffeId, PortalException?>? OnFailed { get; init; }

    /// <summary>Runs it over at least one instance; fails with the last failure.</summary>
    public async Task<PortalConnection> RunAsync(IReadOnlyList<SpiffeId> instances, CancellationToken cancellationToken)
    {
        if (instances.Count == 1) return await AskOnlyAsync(instances[0], cancellationToken);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        PortalException? failure = null;
        var next = 0;
        try
        {
            while (true)
            {
                if (next < instances.Count)
                {
                    asked.Add((instances[next], ask(instances[next], over.Token)));
                    next++;
                }
                else if (asked.Count == 0)
                {
                    throw failure!;
                }
                if (await FirstAsync(next < instances.Count ? patience(instances[next - 1]) : null) is not { } first)
                {
                    OnFailed?.Invoke(instances[next - 1], null);
                    continue;
                }
                asked.Remove(first);
                try
                {
                    return await first.Answer;
                }
                catch (PortalException e)
                {
                    failure = e;
                    OnFailed?.Invoke(first.Vertex, e);
                }
            }
        }
        finally
        {
            // In this turn: what loses must not depend on another thread.
            over.Cancel();
            foreach (var (_, late) in asked) _ = DiscardAsync(late);
        }
    }

    private async Task<PortalConnection> AskOnlyAsync(SpiffeId instance, CancellationToken cancellationToken)
    {
        try
        {
            return await ask(instance, cancellationToken);
        }
        catch (PortalException e)
        {
            OnFailed?.Invoke(instance, e);
            throw;
        }
    }

    // Null: nobody answered in that time.
    private async Task<(SpiffeId Vertex, Task<PortalConnection> Answer)?> FirstAsync(TimeSpan? wait)
    {
        var silence = new LoopPromise<bool>(loop);
        var timer = loop.CreateTimer(() => silence.Set(true));
        if (wait is { } time) timer.Set(loop.Now + time);
        await Task.WhenAny(asked.Select(static a => (Task)a.Answer).Append(silence.Task));
        timer.Cancel();
        foreach (var candidate in asked)
        {
            if (candidate.Answer.IsCompleted) return candidate;
        }
        return null;
    }

    private static async Task DiscardAsync(Task<PortalConnection> late)
    {
        try
        {
            (await late).Abort(new PortalException(PortalError.Closed, "Another instance took the connection."));
        }
        catch (Exception e) when (e is PortalException or OperationCanceledException)
        {
            // It lost.
        }
    }
}
