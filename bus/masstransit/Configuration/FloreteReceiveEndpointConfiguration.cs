using Florete.Bus.MassTransit.Transport;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Configuration;

internal sealed class FloreteReceiveEndpointConfiguration : ReceiveEndpointConfiguration, IFloreteReceiveEndpointConfigurator
{
    private readonly FloreteHostConfiguration host;
    private readonly FloreteEndpointConfiguration endpoint;
    private readonly HashSet<string> topics = new(StringComparer.Ordinal);

    public FloreteReceiveEndpointConfiguration(FloreteHostConfiguration host, string queueName, FloreteEndpointConfiguration endpoint)
        : base(host, endpoint)
    {
        (this.host, this.endpoint, QueueName) = (host, endpoint, queueName);
        IsTemporary = IsBusEndpoint;
    }

    public string QueueName { get; }

    /// <summary>The queue lives as long as this start of the program: its name is used once.</summary>
    public bool IsTemporary { get; set; }

    /// <summary>What the queue subscribes to: the message types of its consumers.</summary>
    public IReadOnlyCollection<string> Topics => topics;

    public ISendTopology SendTopology => endpoint.FloreteTopology.Send;

    public override Uri HostAddress => host.HostAddress;

    public override Uri InputAddress => FloreteAddress.Queue(QueueName, IsTemporary).ToUri();

    public override ReceiveEndpointContext CreateReceiveEndpointContext() => CreateContext();

    public void Build(IHost built)
    {
        var context = CreateContext();
        var receiveEndpoint = new ReceiveEndpoint(new FloreteReceiveTransport(host, context), context);
        built.AddReceiveEndpoint(QueueName, receiveEndpoint);
        ReceiveEndpoint = receiveEndpoint;
    }

    private FloreteReceiveEndpointContext CreateContext()
    {
        ApplySpecifications(new Builder(this));
        var context = new FloreteReceiveEndpointContext(host, this);
        context.GetOrAddPayload(() => host.Topology);
        return context;
    }

    private sealed class Builder(FloreteReceiveEndpointConfiguration configuration) : ReceiveEndpointBuilder(configuration)
    {
        public override ConnectHandle ConnectConsumePipe<T>(IPipe<ConsumeContext<T>> pipe, ConnectPipeOptions options)
        {
            if (configuration.ConfigureConsumeTopology && options.HasFlag(ConnectPipeOptions.ConfigureConsumeTopology)
                && configuration.endpoint.FloreteTopology.Consume.GetMessageTopology<T>().ConfigureConsumeTopology)
            {
                configuration.topics.Add(MessageUrn.ForTypeString<T>());
            }
            return base.ConnectConsumePipe(pipe, options);
        }
    }
}
