namespace Florete.Bus;

/// <summary>A queue at which this member receives. Taking and finishing may go on at the same time; disposing withdraws it.</summary>
public sealed class BusReceiver : IDisposable
{
    private readonly BusMember member;
    private readonly ReceiverQueue queue;
    private readonly Pulse arrived = new();

    internal BusReceiver(BusMember member, ReceiverQueue queue)
    {
        (this.member, this.queue) = (member, queue);
        queue.Arrived = arrived.Set;
    }

    public string Name => queue.Name;

    /// <summary>The next message, in order of arrival. It must be finished.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async ValueTask<BusDelivery> TakeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var next = arrived.Next;
            if (member.TryTake(queue) is { } delivery) return delivery;
            await next.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Answers for a message, once. Later calls do nothing.</summary>
    /// <param name="delivery">From <see cref="TakeAsync"/>.</param>
    /// <param name="outcome">What became of it.</param>
    /// <param name="sentence">Why, for the sender's log.</param>
    public void Finish(BusDelivery delivery, DeliveryOutcome outcome, string sentence = "") => member.Finish(delivery, outcome, sentence);

    /// <summary>Takes no more: what waits goes back to its senders. What was taken is still to be finished.</summary>
    public void Dispose() => member.Withdraw(queue);
}
