using System.Net;
using Florete.Portals;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Florete.AspNetCore;

/// <summary>Kestrel's transport for <see cref="PortalEndPoint"/>s; other endpoints are left to other transports.</summary>
internal sealed class PortalListenerFactory(ILoggerFactory logs) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly Lock gate = new();
    private readonly Dictionary<IProgramPortal, PortalPublisher> publishers = new(ReferenceEqualityComparer.Instance);

    public bool CanBind(EndPoint endpoint) => endpoint is PortalEndPoint;

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var portal = (PortalEndPoint)endpoint;
        PortalPublisher? publisher;
        lock (gate)
        {
            if (!publishers.TryGetValue(portal.Portal, out publisher) || publisher.IsStopping)
                publishers[portal.Portal] = publisher = new PortalPublisher(portal.Portal, portal.All, logs.CreateLogger<PortalPublisher>());
        }
        return await publisher.BindAsync(portal, cancellationToken).ConfigureAwait(false);
    }
}
