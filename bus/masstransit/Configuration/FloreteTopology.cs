using System.Diagnostics.CodeAnalysis;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Topology;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Configuration;

/// <summary>Publishing goes to topics named like message types; there is nothing to declare anywhere.</summary>
internal sealed class FloretePublishTopology(IMessageTopology messages) : PublishTopology
{
    protected override IMessagePublishTopologyConfigurator CreateMessageTopology<T>()
    {
        var topology = new Message<T>(this, messages.GetMessageTopology<T>().EntityName);
        OnMessageTopologyCreated(topology);
        return topology;
    }

    private sealed class Message<T>(IPublishTopology topology, string name) : MessagePublishTopology<T>(topology)
        where T : class
    {
        public override bool TryGetPublishAddress(Uri baseAddress, [NotNullWhen(true)] out Uri? publishAddress)
        {
            publishAddress = FloreteAddress.Topic(name).ToUri();
            return true;
        }
    }
}

internal sealed class FloreteConsumeTopology() : ConsumeTopology(BusLimits.MaxQueueNameBytes);

internal sealed class FloreteBusTopology(IHostConfiguration host, ITopologyConfiguration topology) : BusTopology(host, topology);

/// <summary>The topologies of the bus, and those of each endpoint, which share all but what is consumed.</summary>
internal sealed class FloreteTopologyConfiguration : ITopologyConfiguration
{
    public FloreteTopologyConfiguration(IMessageTopologyConfigurator messages)
    {
        Message = messages;
        var send = new SendTopology();
        send.ConnectSendTopologyConfigurationObserver(new DelegateSendTopologyConfigurationObserver(GlobalTopology.Send));
        Send = send;
        var publish = new FloretePublishTopology(messages);
        publish.ConnectPublishTopologyConfigurationObserver(new DelegatePublishTopologyConfigurationObserver(GlobalTopology.Publish));
        publish.ConnectPublishTopologyConfigurationObserver(new PublishToSendTopologyConfigurationObserver(send));
        Publish = publish;
    }

    public FloreteTopologyConfiguration(FloreteTopologyConfiguration parent) => (Message, Send, Publish) = (parent.Message, parent.Send, parent.Publish);

    public IMessageTopologyConfigurator Message { get; }

    public ISendTopologyConfigurator Send { get; }

    public IPublishTopologyConfigurator Publish { get; }

    public IConsumeTopologyConfigurator Consume { get; } = new FloreteConsumeTopology();

    public IEnumerable<ValidationResult> Validate() => Send.Validate().Concat(Publish.Validate()).Concat(Consume.Validate());
}
