using Florete.Bus;
using Florete.Bus.MassTransit;
using Florete.Bus.MassTransit.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace MassTransit;

/// <summary>MassTransit on the portal, with no broker.</summary>
public static class FloreteConfigurationExtensions
{
    /// <summary>
    /// Uses the Florete bus: <c>x.UsingFlorete((context, cfg) => { cfg.Host(portal, h => h.Peers("orders", "billing")); cfg.ConfigureEndpoints(context); })</c>.
    /// <see cref="IFloreteBus"/> among the services shows what it does.
    /// </summary>
    public static void UsingFlorete(this IBusRegistrationConfigurator configurator, Action<IBusRegistrationContext, IFloreteBusFactoryConfigurator> configure)
    {
        ArgumentNullException.ThrowIfNull(configurator);
        ArgumentNullException.ThrowIfNull(configure);
        var factory = new FloreteRegistrationBusFactory(configure);
        configurator.SetBusFactory(factory);
        configurator.TryAddSingleton<IFloreteBus>(factory);
    }

    /// <summary>Who sent the message that is being consumed: proved by the portal, never taken from the message. Null: it came by another transport.</summary>
    public static BusSender? Sender(this ConsumeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return context.ReceiveContext.TryGetPayload(out BusDelivery? delivery) ? delivery.Sender : null;
    }
}
