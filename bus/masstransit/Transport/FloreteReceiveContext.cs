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
