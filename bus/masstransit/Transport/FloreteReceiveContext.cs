using Florete.Bus.MassTransit.Configuration;
using MassTransit;
using MassTransit.Serialization;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Transport;

internal sealed class FloreteReceiveContext(BusDelivery delivery, FloreteReceiveEndpointContext context)
    : BaseReceiveContext(delivery.Attempt > 0, context, delivery)
{
    public override MessageBody Body { get; } = new MemoryMessageBody(delivery.Message.Body);

    protected override IHeaderProvider HeaderProvider { get; } = FloreteHeaders.Read(delivery.Message.Headers);

    protected override ISendEndpointProvider GetSendEndpointProvider() => new Bound(base.GetSendEndpointProvider(), delivery.Sender);

    /// <summary>
    /// Answers to temporary queues, whose names anybody may claim, go to the identity that asked and to nobody else. (A message that this member has sent to itself, to put it
    /// off, no longer shows who asked first.)
    /// </summary>
    private sealed class Bound(ISendEndpointProvider inner, BusSender sender) : ISendEndpointProvider
    {
        public ConnectHandle ConnectSendObserver(ISendObserver observer) => inner.ConnectSendObserver(observer);

        public Task<ISendEndpoint> GetSendEndpoint(Uri address) =>
            inner.GetSendEndpoint(sender is { Identity: { } identity, Vertex: not null } ? FloreteAddress.Parse(address).BoundTo(identity).ToUri() : address);
    }
}

internal sealed class FloreteReceiveEndpointContext(FloreteHostConfiguration host, FloreteReceiveEndpointConfiguration configuration)
    : BaseReceiveEndpointContext(host, configuration)
{
    public string QueueName => configuration.QueueName;

    public bool IsTemporary => configuration.IsTemporary;

    public IReadOnlyList<string> Topics => [.. configuration.Topics];

    public string ErrorQueue => configuration.SendTopology.ErrorQueueNameFormatter.FormatErrorQueueName(QueueName);

    public string SkippedQueue => configuration.SendTopology.DeadLetterQueueNameFormatter.FormatDeadLetterQueueName(QueueName);

    public override void AddSendAgent(IAgent agent) => throw new NotSupportedException("This transport has no such agents.");

    public override void AddConsumeAgent(IAgent agent) => throw new NotSupportedException("This transport has no such agents.");

    public override Exception ConvertException(Exception exception, string message) => exception;

    protected override ISendTransportProvider CreateSendTransportProvider() => new FloreteSendTransportProvider(host, this);

    protected override IPublishTransportProvider CreatePublishTransportProvider() => new FloreteSendTransportProvider(host, this);
}
