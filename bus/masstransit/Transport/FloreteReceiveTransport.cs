using Florete.Bus.MassTransit.Configuration;
using MassTransit;
using MassTransit.Transports;
using Microsoft.Extensions.Logging;

namespace Florete.Bus.MassTransit.Transport;

/// <summary>Receives at one queue for a receive endpoint.</summary>
internal sealed class FloreteReceiveTransport(FloreteHostConfiguration host, FloreteReceiveEndpointContext context) : IReceiveTransport
{
    public ReceiveTransportHandle Start()
    {
        var member = host.Transport.Member;
        var (errors, skipped) = (new FloreteErrorTransport(member, context.ErrorQueue), new FloreteDeadLetterTransport(member, context.SkippedQueue));
        context.AddOrUpdatePayload<IErrorTransport>(() => errors, _ => errors);
        context.AddOrUpdatePayload<IDeadLetterTransport>(() => skipped, _ => skipped);
        return new ReceiveAgent(member, context);
    }

    public void Probe(ProbeContext probe)
    {
        var scope = probe.CreateScope("receiveTransport");
        scope.Add("type", "Florete");
        scope.Add("address", context.InputAddress);
        scope.Add("prefetchCount", context.PrefetchCount);
    }

    public ConnectHandle ConnectReceiveObserver(IReceiveObserver observer) => context.ConnectReceiveObserver(observer);

    public ConnectHandle ConnectReceiveTransportObserver(IReceiveTransportObserver observer) => context.ConnectReceiveTransportObserver(observer);

    public ConnectHandle ConnectPublishObserver(IPublishObserver observer) => context.ConnectPublishObserver(observer);

    public ConnectHandle ConnectSendObserver(ISendObserver observer) => context.ConnectSendObserver(observer);

    private sealed class ReceiveAgent : ConsumerAgent<long>, ReceiveTransportHandle
    {
        private readonly BusMember member;
        private readonly FloreteReceiveEndpointContext context;
        private BusReceiver? receiver;
        private long count;

        public ReceiveAgent(BusMember member, FloreteReceiveEndpointContext context)
            : base(context)
        {
            (this.member, this.context) = (member, context);
            TrySetConsumeTask(Task.Run(ConsumeAsync));
        }

        public void Probe(ProbeContext probe) => probe.CreateScope("florete").Add("queue", context.QueueName);

        Task ReceiveTransportHandle.Stop(CancellationToken cancellationToken) => this.Stop("Stop Receive Transport", cancellationToken);

        protected override async Task ActiveAndActualAgentsCompleted(StopContext stop)
        {
            // First of all nothing more comes; what waits goes back to its senders.
            receiver?.Dispose();
            await base.ActiveAndActualAgentsCompleted(stop).ConfigureAwait(false);
            await context.TransportObservers.NotifyCompleted(context.InputAddress, this).ConfigureAwait(false);
            context.LogConsumerCompleted(DeliveryCount, ConcurrentDeliveryCount);
        }

        private async Task ConsumeAsync()
        {
            LogContext.Current = context.LogContext;
            var slots = new SemaphoreSlim(context.ConcurrentMessageLimit ?? context.PrefetchCount);
            try
            {
                await context.DependenciesReady.WaitAsync(Stopping).ConfigureAwait(false);
                receiver = member.Receive(context.QueueName, context.IsTemporary, context.PrefetchCount, context.Topics);
                await context.TransportObservers.NotifyReady(context.InputAddress).ConfigureAwait(false);
                SetReady();
                while (true)
                {
                    await slots.WaitAsync(Stopping).ConfigureAwait(false);
                    var delivery = await receiver.TakeAsync(Stopping).ConfigureAwait(false);
                    _ = DeliverAsync(receiver, delivery, slots);
                }
            }
            catch (OperationCanceledException) when (IsStopping)
            {
                SetReady();
            }
            catch (Exception e)
            {
                SetNotReady(e);
                await context.TransportObservers.NotifyFaulted(context.InputAddress, e).ConfigureAwait(false);
            }
        }

        private async Task DeliverAsync(BusReceiver from, BusDelivery delivery, SemaphoreSlim slots)
        {
            // The next message is taken meanwhile, if there is a slot.
            await Task.Yield();
            try
            {
                using var receive = new FloreteReceiveContext(delivery, context);
                await DispatchAsync(receive, from, delivery).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // Nobody else would answer for it.
                from.Finish(delivery, DeliveryOutcome.Faulted, e.Message);
                context.LogContext.Logger.CannotDeliver(e, context.QueueName);
            }
            finally
            {
                slots.Release();
            }
        }

        private async Task DispatchAsync(FloreteReceiveContext receive, BusReceiver from, BusDelivery delivery)
        {
            try
            {
                await Dispatch(Interlocked.Increment(ref count), receive, new FloreteReceiveLock(this, from, delivery)).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                receive.LogTransportFaulted(e);
            }
        }

        /// <summary>The acknowledgement.</summary>
        private sealed class FloreteReceiveLock(ReceiveAgent agent, BusReceiver from, BusDelivery delivery) : ReceiveLockContext
        {
            public Task Complete()
            {
                from.Finish(delivery, DeliveryOutcome.Completed);
                return Task.CompletedTask;
            }

            public Task Faulted(Exception exception)
            {
                from.Finish(delivery, agent.IsStopping ? DeliveryOutcome.Returned : DeliveryOutcome.Faulted, exception.Message);
                return Task.CompletedTask;
            }

            public Task ValidateLockStatus() => Task.CompletedTask;
        }
    }
}

internal static partial class ReceiveLog
{
    [LoggerMessage(Level = LogLevel.Error, Message = "A message for queue {Queue} could not be given to a consumer; it will come again")]
    public static partial void CannotDeliver(this ILogger logger, Exception e, string queue);
}
