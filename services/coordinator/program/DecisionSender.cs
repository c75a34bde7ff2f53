using System.Collections.Concurrent;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>Signs decisions as the node and sends them, each to its vertex, all beside each other; tells what came of it.</summary>
internal sealed partial class DecisionSender(IProgramPortal node, VertexClient client, Arrivals arrivals, CoordinatorMetrics metrics, ILogger logger)
{
    // Vertices that do not answer hold some until their time is over.
    private const int MostUnderWay = 512;
    private const int MostRemembered = 4096;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    // So that what goes on is said once.
    private readonly ConcurrentDictionary<string, string> lastOutcome = new(StringComparer.Ordinal);
    private int underWay;

    /// <summary>Ends when the outcome is told.</summary>
    public async Task SendAsync(DueDecision decision, CancellationToken cancellationToken)
    {
        // Whoever asks has more to do in this turn.
        await Task.Yield();
        var document = decision.Document;
        try
        {
            var (refusal, problem) = Interlocked.Increment(ref underWay) <= MostUnderWay
                ? await TrySendAsync(decision, cancellationToken).ConfigureAwait(false)
                : (null, "Too many vertices do not answer.");
            Note(document, refusal?.Reason ?? (problem is null ? "confirmed" : "failed"), refusal?.Text ?? problem);
            if (problem is not null) await arrivals.TellAsync((c, _) => c.Failed(document, problem), cancellationToken).ConfigureAwait(false);
            else await arrivals.TellAsync((c, now) => c.Answered(document, refusal, now), cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It is told to stop; nobody waits for the outcome.
        }
        finally
        {
            Interlocked.Decrement(ref underWay);
        }
    }

    private async Task<(Refusal? Refusal, string? Problem)> TrySendAsync(DueDecision decision, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        try
        {
            // Anew each time: 0.1 ms, and never by an SVID that has been renewed since.
            var signature = await node.SignAsync(CoordinationProtocol.DecisionPurpose, decision.Encoded, patience.Token).ConfigureAwait(false);
            var signed = new SignedDecision(decision.Encoded, signature.Bytes.ToArray(), EncodedChain.Encode(signature.Chain));
            return (await client.DecideAsync(decision.Document.Vertex, signed, patience.Token).ConfigureAwait(false), null);
        }
        catch (Exception e) when (e is CoordinationException or PortalException)
        {
            return (null, e.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, $"Vertex {decision.Document.Vertex} did not answer in {Patience.TotalSeconds:0} s.");
        }
    }

    private void Note(DecisionDocument document, string outcome, string? text)
    {
        metrics.Decisions.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        if (lastOutcome.Count >= MostRemembered) lastOutcome.Clear();
        var before = lastOutcome.GetValueOrDefault(document.Vertex);
        lastOutcome[document.Vertex] = outcome;
        if (outcome != before && text is not null) NotConfirmed(document.Vertex, document.Number, document.Epoch, outcome, text);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Vertex {Vertex} has not taken decision {Number} of term {Epoch} ({Outcome}): {Text}")]
    private partial void NotConfirmed(string vertex, ulong number, Epoch epoch, string outcome, string text);
}
