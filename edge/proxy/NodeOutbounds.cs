using System.Net;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Outbounds;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>
/// The services that a node publishes. A service whose target changes stays published: connections from then on go to the new target. Not
/// from two threads at once.
/// </summary>
internal sealed partial class NodeOutbounds(NodeMaterials materials, EdgeConnections connections, ILoggerFactory logs) : IAsyncDisposable
{
    private readonly ILogger logger = logs.CreateLogger("Florete.Outbounds");
    private readonly Dictionary<SpiffeId, Slot> slots = [];

    public IEnumerable<OutboundConfiguration> Published => slots.Values.Select(slot => slot.Configuration);

    /// <summary>What keeps the configuration from being applied.</summary>
    public void Check(FlorConfiguration configuration, List<string> problems)
    {
        foreach (var outbound in configuration.Outbounds)
        {
            var field = $"{configuration.File}:{outbound.Line}: outbound {outbound.Service.Path}";
            if (materials.Find(outbound.Service) is null)
            {
                problems.Add($"{field}: it is not among the identities in {configuration.IdentitiesFolder}; issue it (florctl identity issue), or remove the outbound.");
            }
            else if (materials.Bounds.MayHost(configuration.Vertex, outbound.Service) is { IsAllowed: false } verdict)
            {
                problems.Add($"{field}: {verdict.Refusal}");
            }
        }
    }

    /// <exception cref="PortalException">The vertex refuses a service; those before it are published.</exception>
    public async Task ApplyAsync(FlorConfiguration configuration, IPortal portal, CancellationToken cancellationToken)
    {
        var wanted = configuration.Outbounds.Select(outbound => outbound.Service).ToHashSet();
        foreach (var gone in slots.Keys.Where(service => !wanted.Contains(service)).ToArray())
        {
            slots.Remove(gone, out var slot);
            await slot!.Publication!.DisposeAsync().ConfigureAwait(false);
            Withdrawn(gone.Path);
        }
        foreach (var outbound in configuration.Outbounds)
        {
            var acceptor = new TcpOutbound(outbound.Service, outbound.Target, connections, logger);
            if (slots.TryGetValue(outbound.Service, out var slot))
            {
                if (slot.Configuration.Target.Equals(outbound.Target)) continue;
                slot.Change(outbound, acceptor);
            }
            else
            {
                slot = new Slot(outbound, acceptor);
                slot.Publication = await portal.PublishAsync(materials.Find(outbound.Service)!, slot, cancellationToken).ConfigureAwait(false);
                slots.Add(outbound.Service, slot);
            }
            IsPublished(outbound.Service.Path, outbound.Target);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var slot in slots.Values) await slot.Publication!.DisposeAsync().ConfigureAwait(false);
        slots.Clear();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Service} is published, its program at {Target}")]
    private partial void IsPublished(string service, EndPoint target);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Service} is withdrawn; connections that are open go on")]
    private partial void Withdrawn(string service);

    private sealed class Slot(OutboundConfiguration configuration, TcpOutbound acceptor) : IAcceptor
    {
        private volatile TcpOutbound acceptor = acceptor;

        public OutboundConfiguration Configuration { get; private set; } = configuration;

        public IAsyncDisposable? Publication { get; set; }

        public bool RunsInTurn => acceptor.RunsInTurn;

        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken) => acceptor.AcceptAsync(connection, cancellationToken);

        public void Change(OutboundConfiguration configuration, TcpOutbound newer)
        {
            Configuration = configuration;
            acceptor = newer;
        }
    }
}
