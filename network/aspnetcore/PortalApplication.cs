using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Florete.AspNetCore;

/// <summary>An application that lives in the mesh alone, and starts fast: Kestrel over a portal and routes, without configuration files, consoles and ports.</summary>
public static class PortalApplication
{
    // Watches are told to end, and requests that run have so long.
    private static readonly TimeSpan LastRequests = TimeSpan.FromSeconds(5);

    /// <param name="name">Of the program.</param>
    /// <param name="portal">Under whose identity it is published, for HTTP/1.1.</param>
    /// <param name="maxRequestBodyBytes">Null: each route has a limit of its own.</param>
    /// <param name="logging">Where its log goes.</param>
    public static WebApplicationBuilder CreateBuilder(string name, IProgramPortal portal, long? maxRequestBodyBytes, Action<ILoggingBuilder> logging)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = name });
        logging(builder.Logging);
        builder.WebHost.UseKestrelCore().UsePortal(portal, HttpProtocols.Http1).ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = maxRequestBodyBytes;
        });
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(static host => host.ShutdownTimeout = LastRequests);
        return builder;
    }
}
