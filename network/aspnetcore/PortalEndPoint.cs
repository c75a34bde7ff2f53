using System.Net;
using Florete.Portals;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Florete.AspNetCore;

/// <summary>
/// Stands in Kestrel's options for "published through this portal". Kestrel speaks one protocol at an endpoint without TLS, so an identity that takes
/// HTTP/1.1 and HTTP/2 has two endpoints and one publication.
/// </summary>
public sealed class PortalEndPoint : EndPoint
{
    internal PortalEndPoint(IProgramPortal portal, HttpProtocols protocol, HttpProtocols all) => (Portal, Protocol, All) = (portal, protocol, all);

    public IProgramPortal Portal { get; }

    /// <summary>What is spoken here: HTTP/1.1 or HTTP/2.</summary>
    public HttpProtocols Protocol { get; }

    /// <summary>What is spoken at all endpoints of the publication.</summary>
    internal HttpProtocols All { get; }

    public override string ToString() => Portal.ToString() ?? "portal";
}
