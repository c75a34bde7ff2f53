using System.Net;
using Florete.Portals;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// What plain HTTP requests of one proxy inbound are forwarded with: its identity, its credentials, its pool of connections. When the
/// configuration changes, clients that are connected go on with the scope that they came by, so the pool lives until it is disposed and the
/// last of them has left. Thread-safe.
/// </summary>
internal sealed class HttpScope(Dialer dialer, Credentials? credentials) : IDisposable
{
    private readonly Lock gate = new();
    private HttpMessageInvoker? invoker;
    private int users;
    private bool isRetired;

    public Dialer Dialer => dialer;

    public Credentials? Credentials => credentials;

    /// <summary>Of a client that has entered.</summary>
    public HttpMessageInvoker Invoker => invoker ?? throw new InvalidOperationException("Nobody has entered this scope.");

    /// <summary>A client comes; dispose the result when it has ended. One that comes late, when the scope is disposed, is served like the others.</summary>
    public User Enter()
    {
        lock (gate)
        {
            users++;
            invoker ??= MakeInvoker();
        }
        return new User(this);
    }

    /// <summary>No more clients are sent here.</summary>
    public void Dispose()
    {
        lock (gate) isRetired = true;
        CloseIfUnused();
    }

    private void Leave()
    {
        lock (gate) users--;
        CloseIfUnused();
    }

    private void CloseIfUnused()
    {
        HttpMessageInvoker? unused;
        lock (gate)
        {
            if (!isRetired || users > 0) return;
            (unused, invoker) = (invoker, null);
        }
        unused?.Dispose();
    }

    private HttpMessageInvoker MakeInvoker() => new(new SocketsHttpHandler
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

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken) =>
        new PortalStream(await Dialer.ConnectAsync(context.DnsEndPoint.Host, cancellationToken).ConfigureAwait(false));

    /// <summary>One client.</summary>
    internal readonly struct User(HttpScope scope) : IDisposable
    {
        public void Dispose() => scope.Leave();
    }
}
