using Florete.Bus.MassTransit.Transport;
using Florete.Portals;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Transports;
using MassTransit.Util;

namespace Florete.Bus.MassTransit.Configuration;

internal sealed class FloreteHostConfiguration
    : BaseHostConfiguration<FloreteReceiveEndpointConfiguration, IFloreteReceiveEndpointConfigurator>, IFloreteHostConfigurator
{
    private readonly FloreteBusConfiguration bus;
    private readonly Recycle<FloreteTransport> transport;

    public FloreteHostConfiguration(FloreteBusConfiguration bus)
        : base(bus)
    {
        this.bus = bus;
        Topology = new FloreteBusTopology(this, bus.FloreteTopology);
        // The member reconnects by itself; nothing of this transport asks for another try.
        ReceiveTransportRetryPolicy = Retry.None;
        transport = new Recycle<FloreteTransport>(() => new FloreteTransport(this));
    }

    public IProgramPortal? Portal { get; set; }

    public BusMemberOptions MemberOptions { get; private set; } = new();

    /// <summary>The member of this bus, made when it is first needed, and again after a stop.</summary>
    public FloreteTransport Transport => transport.Supervisor;

    public override Uri HostAddress => FloreteAddress.HostAddress;

    public override IBusTopology Topology { get; }

    public override IRetryPolicy ReceiveTransportRetryPolicy { get; }

    public void Peers(params string[] peers) => MemberOptions = MemberOptions with { Peers = [.. MemberOptions.Peers, .. peers] };

    public void Options(Func<BusMemberOptions, BusMemberOptions> change) => MemberOptions = change(MemberOptions);

    public override IEnumerable<ValidationResult> Validate()
    {
        if (Portal is null) yield return this.Failure("Host", "is missing: call cfg.Host(portal) with the portal of this program.");
        string? problem = null;
        try
        {
            MemberOptions.Validate();
        }
        catch (ArgumentException e)
        {
            problem = e.Message;
        }
        if (problem is not null) yield return this.Failure("Host", problem);
        foreach (var result in base.Validate()) yield return result;
    }

    public override IReceiveEndpointConfiguration CreateReceiveEndpointConfiguration(string queueName, Action<IReceiveEndpointConfigurator>? configure) =>
        Create(queueName, bus.CreateEndpointConfiguration(), configure);

    public FloreteReceiveEndpointConfiguration Create(string queueName, FloreteEndpointConfiguration endpoint, Action<IFloreteReceiveEndpointConfigurator>? configure)
    {
        BusNames.CheckQueue(queueName);
        var configuration = new FloreteReceiveEndpointConfiguration(this, queueName, endpoint);
        configure?.Invoke(configuration);
        Observers.EndpointConfigured(configuration);
        Add(configuration);
        return configuration;
    }

    public override void ReceiveEndpoint(
        IEndpointDefinition definition, IEndpointNameFormatter? endpointNameFormatter, Action<IFloreteReceiveEndpointConfigurator>? configureEndpoint = null) =>
        ReceiveEndpoint(definition.GetEndpointName(endpointNameFormatter ?? DefaultEndpointNameFormatter.Instance), Define(definition, configureEndpoint));

    public override void ReceiveEndpoint(string queueName, Action<IFloreteReceiveEndpointConfigurator> configureEndpoint) =>
        Create(queueName, bus.CreateEndpointConfiguration(), configureEndpoint);

    /// <summary>What the definition says, then what the caller says.</summary>
    public Action<IFloreteReceiveEndpointConfigurator> Define(IEndpointDefinition definition, Action<IFloreteReceiveEndpointConfigurator>? configure) => endpoint =>
    {
        if (definition.IsTemporary && endpoint is FloreteReceiveEndpointConfiguration own) own.IsTemporary = true;
        ApplyEndpointDefinition(endpoint, definition);
        configure?.Invoke(endpoint);
    };

    public override IHost Build()
    {
        var host = new FloreteHost(this);
        foreach (var endpoint in GetConfiguredEndpoints()) endpoint.Build(host);
        return host;
    }

    /// <summary>For endpoints that are connected to a running bus.</summary>
    public FloreteReceiveEndpointConfiguration Connect(string queueName, Action<IFloreteReceiveEndpointConfigurator>? configure) =>
        Create(queueName, bus.CreateEndpointConfiguration(), configure);
}
