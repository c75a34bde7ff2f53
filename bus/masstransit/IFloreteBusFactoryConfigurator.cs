using Florete.Portals;
using MassTransit;

namespace Florete.Bus.MassTransit;

/// <summary>Configures a bus on the portal.</summary>
public interface IFloreteBusFactoryConfigurator : IBusFactoryConfigurator<IFloreteReceiveEndpointConfigurator>
{
    /// <summary>Says which portal carries the bus, and so which identity it has. Required.</summary>
    void Host(IProgramPortal portal, Action<IFloreteHostConfigurator>? configure = null);
}

/// <summary>Configures how this program takes part in the bus.</summary>
public interface IFloreteHostConfigurator
{
    /// <summary>
    /// The identities that this program sends and publishes to, beside its own: <c>orders</c> (a service), <c>orders.rete</c>, <c>workload/robot-*</c>, <c>*</c> (every service).
    /// </summary>
    void Peers(params string[] peers);

    /// <summary>What may be held, and for how long.</summary>
    void Options(Func<BusMemberOptions, BusMemberOptions> change);
}

/// <summary>Configures a queue of this program.</summary>
public interface IFloreteReceiveEndpointConfigurator : IReceiveEndpointConfigurator;
