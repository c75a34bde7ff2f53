using System.Net;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>What plain HTTP requests of one proxy inbound are forwarded with: its identity, its credentials, its pool of connections.</summary>
internal sealed class HttpScope : IDisposable
{
    public HttpScope(Dialer dialer, Credentials? credentials)
    {
        Dialer = dialer;
        Credentials = credentials;
        Invoker = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = ConnectAsync,
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = null,
            // A request that waits for a free connection would wait behind strangers.
            MaxConnectionsPerServer = int.MaxValue,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            // Bounds and paths change: a pooled connection is not kept for ever.
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            ConnectTimeout = ConnectOptions.DefaultTimeout + TimeSpan.FromSeconds(5),
            EnableMultipleHttp2Connections = true,
        });
    }

    public Dialer Dialer { get; }

    public Credentials? Credentials { get; }

    public HttpMessageInvoker Invoker { get; }

    public void Dispose() => Invoker.Dispose();

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken) =>
        new PortalStream(await Dialer.ConnectAsync(context.DnsEndPoint.Host, cancellationToken).ConfigureAwait(false));
}
