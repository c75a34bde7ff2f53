using Florete.Portals;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Configuration;

internal sealed class FloreteBusFactoryConfigurator(FloreteBusConfiguration bus) : BusFactoryConfigurator(bus), IFloreteBusFactoryConfigurator, IBusFactory
{
    public void Host(IProgramPortal portal, Action<IFloreteHostConfigurator>? configure = null)
    {
        bus.HostConfiguration.Portal = portal;
        configure?.Invoke(bus.HostConfiguration);
    }

    public IReceiveEndpointConfiguration CreateBusEndpointConfiguration(Action<IReceiveEndpointConfigurator> configure) =>
        bus.HostConfiguration.Create(bus.FloreteTopology.Consume.CreateTemporaryQueueName("bus"), bus.BusEndpointConfiguration, configure);

    public void ReceiveEndpoint(IEndpointDefinition definition, IEndpointNameFormatter? endpointNameFormatter, Action<IFloreteReceiveEndpointConfigurator>? configureEndpoint = null) =>
        bus.HostConfiguration.ReceiveEndpoint(definition, endpointNameFormatter, configureEndpoint);

    public void ReceiveEndpoint(IEndpointDefinition definition, IEndpointNameFormatter? endpointNameFormatter, Action<IReceiveEndpointConfigurator>? configureEndpoint = null) =>
        bus.HostConfiguration.ReceiveEndpoint(definition, endpointNameFormatter, configureEndpoint);

    public void ReceiveEndpoint(string queueName, Action<IFloreteReceiveEndpointConfigurator> configureEndpoint) =>
        bus.HostConfiguration.ReceiveEndpoint(queueName, configureEndpoint);

    public void ReceiveEndpoint(string queueName, Action<IReceiveEndpointConfigurator> configureEndpoint) =>
        bus.HostConfiguration.ReceiveEndpoint(queueName, configureEndpoint);
}

/// <summary>Makes the bus when the application starts.</summary>
internal sealed class FloreteRegistrationBusFactory : TransportRegistrationBusFactory<IFloreteReceiveEndpointConfigurator>, IFloreteBus
{
    private readonly FloreteBusConfiguration configuration;
    private readonly Action<IBusRegistrationContext, IFloreteBusFactoryConfigurator> configure;

    public FloreteRegistrationBusFactory(Action<IBusRegistrationContext, IFloreteBusFactoryConfigurator> configure)
        : this(new FloreteBusConfiguration(), configure)
    {
    }

    private FloreteRegistrationBusFactory(FloreteBusConfiguration configuration, Action<IBusRegistrationContext, IFloreteBusFactoryConfigurator> configure)
        : base(configuration.HostConfiguration) => (this.configuration, this.configure) = (configuration, configure);

    public IReadOnlyList<BusPeer> Peers => configuration.HostConfiguration.Transport.Member.Peers;

    public int HeldCount => configuration.HostConfiguration.Transport.Member.HeldCount;

    public IReadOnlyList<BusMessage> Kept(string queue) => configuration.HostConfiguration.Transport.Member.Kept(queue);

    public override IBusInstance CreateBus(IBusRegistrationContext context, IEnumerable<IBusInstanceSpecification> specifications, string busName) =>
        CreateBus(new FloreteBusFactoryConfigurator(configuration), context, configure, specifications);
}
