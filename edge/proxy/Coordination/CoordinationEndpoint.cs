using System.Collections.Concurrent;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Coordination;

/// <summary>
/// Takes the streams to <c>node/…</c> of this vertex and answers on them (docs/protocols/coordination.md, "Speaking with a vertex"). Reading, and checking signatures, is done outside
/// the turns of the vertex's loop; what is kept is kept inside them.
/// </summary>
internal sealed partial class CoordinationEndpoint(
    SpiffeId node, ICoordinatedNetwork network, VertexCoordination core, DecisionChecks checks, DecisionRefusals refusals, TimeProvider clock, ILogger logger) : IAcceptor, IAsyncDisposable
{
    private readonly CallerLimits limits = new(clock);
    private readonly ConcurrentDictionary<CoordinationStream, Task> streams = new();
    private long accepted;

    /// <summary>Whom it answers for.</summary>
    public SpiffeId Node => node;

    /// <summary>Decisions taken, those that were confirmed again included.</summary>
    public long Accepted => Interlocked.Read(ref accepted);

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (connection.Stream is null) throw new PortalException(PortalError.Refused, $"{node} takes streams only; connect in stream mode.");
        if (!limits.TryOpen(connection.Remote))
        {
            throw new PortalException(
                PortalError.LimitReached, $"{node} has {CallerLimits.MaxStreams} streams, or {CallerLimits.MaxStreamsOfCaller} of {connection.Remote.Path}, its limits; close some.");
        }
        var stream = new CoordinationStream(this, connection);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        streams[stream] = RunAsync(stream, begun.Task);
        // The connection flows only after this method has returned; the first read waits for it.
        begun.SetResult();
        return ValueTask.CompletedTask;
    }

    /// <summary>Ends the streams that there are.</summary>
    public async Task EndStreamsAsync()
    {
        var ending = streams.ToArray();
        foreach (var (stream, _) in ending) stream.End();
        await Task.WhenAll(ending.Select(static s => s.Value)).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync() => await EndStreamsAsync().ConfigureAwait(false);

    /// <summary>Uses the core inside a turn.</summary>
    public Task InTurnAsync(Action<VertexCoordination> use) => network.Loop.RunAsync(() =>
    {
        use(core);
        return Task.CompletedTask;
    });

    /// <inheritdoc cref="InTurnAsync(Action{VertexCoordination})" />
    public Task<T> InTurnAsync<T>(Func<VertexCoordination, T> use) => network.Loop.RunAsync(() => Task.FromResult(use(core)));

    /// <returns>Null: there is nothing to say.</returns>
    public Task<VertexAnswer?> StandAsync(VertexCoordination.Attending program, Stand stand) => AskAsync(
        (core, done) => core.Stand(program, stand, (refused, problem) => done(
            refused is not null ? VertexAnswer.Of(Refusal(refused, core.Newest)) : problem is null ? null : VertexAnswer.OfError($"The term cannot be claimed: {problem}"))));

    public async Task<VertexAnswer?> DecideAsync(CoordinationStream stream, SignedDecision signed)
    {
        if (!limits.TryDecide(stream.Caller))
            return VertexAnswer.OfError($"{stream.Caller.Path} has more decisions checked than {CallerLimits.DecisionsPerSecond} a second; send fewer.");
        var now = clock.GetUtcNow();
        if (checks.Check(stream.Caller, signed, now, out var document) is { } refused)
        {
            refusals.Add(refused, stream.Caller, stream.CallerVertex);
            return VertexAnswer.Of(Refusal(refused, await InTurnAsync(static core => core.Newest).ConfigureAwait(false)));
        }
        return await AskAsync((core, done) => core.Decide(new KeptDecision(document!, signed, now), (refused, problem) =>
        {
            if (refused is not null) refusals.Add(refused, stream.Caller, stream.CallerVertex);
            else if (problem is null) Interlocked.Increment(ref accepted);
            done(refused is not null ? VertexAnswer.Of(Refusal(refused, core.Newest))
                : problem is null ? VertexAnswer.Of(new Acceptance(document!.Number)) : VertexAnswer.OfError($"The decision cannot be kept, so it is not in force: {problem}"));
        })).ConfigureAwait(false);
    }

    /// <summary>What the directory knows.</summary>
    public async Task<VertexAnswer> TopologyAsync()
    {
        // Immutable, so only taken in a turn.
        var topology = await network.Loop.RunAsync(() => Task.FromResult(network.Topology)).ConfigureAwait(false);
        return VertexAnswer.Of(TopologyAnswer.Of(topology));
    }

    private static Refusal Refusal(RefusedDecision refused, Epoch? newest) => new(DecisionRefusals.Word(refused.Reason), refused.Text, newest);

    private Task<VertexAnswer?> AskAsync(Action<VertexCoordination, Action<VertexAnswer?>> ask)
    {
        var answer = new TaskCompletionSource<VertexAnswer?>(TaskCreationOptions.RunContinuationsAsynchronously);
        network.Loop.Post(() => ask(core, answer.SetResult));
        return answer.Task;
    }

    private async Task RunAsync(CoordinationStream stream, Task begun)
    {
        await begun.ConfigureAwait(false);
        try
        {
            await stream.RunAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Faulted(e, stream.Caller.Path);
        }
        finally
        {
            limits.Close(stream.Caller);
            streams.TryRemove(stream, out _);
            stream.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A stream of {Caller} about coordination ended by a fault of this program")]
    private partial void Faulted(Exception fault, string caller);
}
