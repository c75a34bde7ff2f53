using Florete.Coordination.Contracts;

namespace Florete.Coordination.Program;

/// <summary>Looks at the topology of the program's vertex while paths are wanted of it: the directory damps metrics, so what differs is worth another computation.</summary>
internal sealed class TopologyWatch(VertexClient client, string vertex, Arrivals arrivals, Func<bool> isWanted)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // A path that is new is computed without this.
    private static readonly TimeSpan IdleInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        byte[] last = [];
        while (true)
        {
            await Task.Delay(isWanted() ? Interval : IdleInterval, cancellationToken).ConfigureAwait(false);
            if (!isWanted()) continue;
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(Patience);
            try
            {
                var topology = await client.TopologyAsync(vertex, patience.Token).ConfigureAwait(false);
                var now = CoordinationJson.Write(VertexAnswer.Of(topology));
                if (now.AsSpan().SequenceEqual(last)) continue;
                last = now;
                await arrivals.TellAsync(static (c, at) => c.TopologyChanged(at), cancellationToken).ConfigureAwait(false);
            }
            catch (CoordinationException)
            {
                // The attendance tells that the vertex does not answer.
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Likewise.
            }
        }
    }
}
