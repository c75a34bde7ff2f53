using MassTransit;
using MassTransit.Configuration;
using MassTransit.Observables;
using MassTransit.Topology;

namespace Florete.Bus.MassTransit.Configuration;

internal class FloreteEndpointConfiguration : EndpointConfiguration
{
    protected FloreteEndpointConfiguration(FloreteTopologyConfiguration topology)
        : base(topology) => FloreteTopology = topology;

    private FloreteEndpointConfiguration(FloreteEndpointConfiguration parent, FloreteTopologyConfiguration topology, bool isBusEndpoint)
        : base(parent, topology, isBusEndpoint) => FloreteTopology = topology;

    public FloreteTopologyConfiguration FloreteTopology { get; }

    public FloreteEndpointConfiguration CreateEndpointConfiguration(bool isBusEndpoint = false) =>
        new(this, new FloreteTopologyConfiguration(FloreteTopology), isBusEndpoint);
}

internal sealed class FloreteBusConfiguration : FloreteEndpointConfiguration, IBusConfiguration
{
    private readonly BusObservable observers = new();

    public FloreteBusConfiguration()
        : base(new FloreteTopologyConfiguration(new MessageTopology(new MessageUrnEntityNameFormatter())))
    {
        HostConfiguration = new FloreteHostConfiguration(this);
        BusEndpointConfiguration = CreateEndpointConfiguration(isBusEndpoint: true);
    }

    public FloreteHostConfiguration HostConfiguration { get; }

    public FloreteEndpointConfiguration BusEndpointConfiguration { get; }

    IHostConfiguration IBusConfiguration.HostConfiguration => HostConfiguration;

    IEndpointConfiguration IBusConfiguration.BusEndpointConfiguration => BusEndpointConfiguration;

    IBusObserver IBusConfiguration.BusObservers => observers;

    public ConnectHandle ConnectBusObserver(IBusObserver observer) => observers.Connect(observer);

    public ConnectHandle ConnectEndpointConfigurationObserver(IEndpointConfigurationObserver observer) =>
        HostConfiguration.ConnectEndpointConfigurationObserver(observer);
}
