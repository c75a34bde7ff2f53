using Florete.Identities;
using Florete.Portals;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Florete.AspNetCore;

/// <summary>Publishes ASP.NET Core applications in the mesh.</summary>
public static class PortalHostExtensions
{
    /// <summary>
    /// Publishes the application under the portal's identity, without a port. It starts whether flor runs or not, and publishes again, backing off,
    /// whenever flor is back. The caller is in <see cref="IPortalConnectionFeature"/> and in <c>HttpContext.User</c> (scheme
    /// <see cref="PortalAuthentication.Scheme"/>). Call it once for each identity; other endpoints may stand beside it.
    /// </summary>
    /// <param name="builder">As in <c>WebApplication.CreateBuilder().WebHost</c>.</param>
    /// <param name="portal">A portal socket, or the portal of a vertex in this process.</param>
    /// <param name="protocols">HTTP/1.1, HTTP/2 or both: told apart by their first bytes.</param>
    /// <exception cref="ArgumentException">Another protocol is asked for.</exception>
    public static IWebHostBuilder UsePortal(
        this IWebHostBuilder builder, IProgramPortal portal, HttpProtocols protocols = HttpProtocols.Http1AndHttp2)
    {
        if (protocols is not (HttpProtocols.Http1 or HttpProtocols.Http2 or HttpProtocols.Http1AndHttp2))
            throw new ArgumentException($"A portal carries Http1, Http2 or Http1AndHttp2, not {protocols}.", nameof(protocols));
        return builder.ConfigureServices(services =>
        {
            services.TryAddEnumerable(ServiceDescriptor.Singleton<IConnectionListenerFactory, PortalListenerFactory>());
            services.TryAddEnumerable(ServiceDescriptor.Transient<IStartupFilter, CallerAsUser>());
            services.AddAuthenticationCore(static options =>
            {
                if (!options.SchemeMap.ContainsKey(PortalAuthentication.Scheme)) options.AddScheme<PortalAuthentication>(PortalAuthentication.Scheme, null);
            });
            services.Configure<KestrelServerOptions>(kestrel =>
            {
                foreach (var protocol in new[] { HttpProtocols.Http1, HttpProtocols.Http2 })
                {
                    if (protocols.HasFlag(protocol)) kestrel.Listen(new PortalEndPoint(portal, protocol, protocols), listen => listen.Protocols = protocol);
                }
            });
        });
    }

    /// <summary>The same in the process of a vertex, for an identity that it holds.</summary>
    public static IWebHostBuilder UsePortal(
        this IWebHostBuilder builder, IPortal portal, HeldIdentity identity, HttpProtocols protocols = HttpProtocols.Http1AndHttp2) =>
        builder.UsePortal(portal.As(identity), protocols);
}
