using System.Net.Sockets;
using System.Text;
using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Forwarder;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// Forwards plain HTTP requests into the mesh: Kestrel reads them from sockets that proxy inbounds hand over, YARP forwards them.
/// One for all inbounds of a node.
/// </summary>
internal sealed partial class HttpGateway : IAsyncDisposable
{
    // Long polls and event streams are quiet for hours; a dead path ends the connection below anyway.
    private static readonly ForwarderRequestConfig RequestConfig = new() { ActivityTimeout = TimeSpan.FromDays(20) };

    private readonly WebApplication application;
    private readonly HandedOverSockets handedOver;
    private readonly ILogger logger;

    private HttpGateway(WebApplication application, HandedOverSockets handedOver, ILogger logger) =>
        (this.application, this.handedOver, this.logger) = (application, handedOver, logger);

    public static async Task<HttpGateway> StartAsync(ILoggerFactory logs, CancellationToken cancellationToken)
    {
        var handedOver = new HandedOverSockets();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "flor" });
        builder.Services.AddSingleton(logs);
        builder.Services.AddSingleton<IConnectionListenerFactory>(handedOver);
        builder.Services.AddHttpForwarder();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(static options =>
        {
            options.AddServerHeader = false;
            options.Limits.RequestHeadersTimeout = HandshakeGate.DefaultDeadline;
            options.Limits.MaxConcurrentConnections = EdgeConnections.Max;
            options.Limits.MaxConcurrentUpgradedConnections = EdgeConnections.Max;
            // What a request may carry is the service's affair, and so is its pace.
            options.Limits.MaxRequestBodySize = null;
            options.Limits.MinRequestBodyDataRate = null;
            options.Limits.MinResponseDataRate = null;
            options.Listen(HandedOverSockets.EndPoint, static listen => listen.Protocols = HttpProtocols.Http1);
        });
        var application = builder.Build();
        var gateway = new HttpGateway(application, handedOver, logs.CreateLogger<HttpGateway>());
        var forwarder = application.Services.GetRequiredService<IHttpForwarder>();
        application.Run(context => gateway.ForwardAsync(context, forwarder));
        await application.StartAsync(cancellationToken).ConfigureAwait(false);
        return gateway;
    }

    /// <summary>Serves requests of one client until the connection has ended. Does not dispose the socket.</summary>
    /// <param name="socket">The client's.</param>
    /// <param name="received">What was read from it.</param>
    /// <param name="scope">Of the inbound.</param>
    public Task ServeAsync(Socket socket, byte[] received, HttpScope scope) => handedOver.ServeAsync(socket, received, scope);

    public async ValueTask DisposeAsync()
    {
        // Requests in flight are cut: the node goes down, and with it what they travel over.
        using var now = new CancellationTokenSource();
        await now.CancelAsync().ConfigureAwait(false);
        await application.StopAsync(now.Token).ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ForwardAsync(HttpContext context, IHttpForwarder forwarder)
    {
        var scope = context.Features.Get<HttpScope>()!;
        if (scope.Credentials is { } credentials)
        {
            var authorization = context.Request.Headers.ProxyAuthorization.ToString();
            if (!HttpMessages.Matches(credentials, authorization))
            {
                if (authorization.Length > 0)
                {
                    WrongPassword();
                    await credentials.DelayFailureAsync(context.RequestAborted).ConfigureAwait(false);
                }
                context.Response.Headers.ProxyAuthenticate = HttpMessages.Challenge;
                await AnswerAsync(context, 407, HttpMessages.WantsCredentials).ConfigureAwait(false);
                return;
            }
        }
        if (Malformed(context.Request) is { } flaw)
        {
            context.Response.Headers.Connection = "close";
            await AnswerAsync(context, 400, flaw).ConfigureAwait(false);
            return;
        }
        // absolute-form (RFC 9112 §3.2.2); Kestrel has checked that Host says the same.
        var target = context.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>()!.RawTarget;
        if (!target.StartsWith("http://", StringComparison.OrdinalIgnoreCase))
        {
            await AnswerAsync(context, 400, "This is a proxy; send requests with a whole URL, as in GET http://hello.rete/ HTTP/1.1 (curl: -x http://ADDRESS:PORT).").ConfigureAwait(false);
            return;
        }
        var host = context.Request.Host;
        // Without a name there is nothing to ask the mesh for, so the dialer words the refusal.
        var destination = $"http://{host.ToUriComponent()}/";
        ForwarderError error;
        try
        {
            error = await forwarder.SendAsync(context, destination, scope.Invoker, RequestConfig, PassHost.Instance, context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception e) when (e is UriFormatException or ArgumentException)
        {
            await AnswerAsync(context, 400, "The URL's host is no name; write it as in http://hello.rete/.").ConfigureAwait(false);
            return;
        }
        if (error == ForwarderError.None || context.Response.HasStarted || context.RequestAborted.IsCancellationRequested) return;
        var (reason, sentence) = Explain(context.Features.Get<IForwarderErrorFeature>()?.Exception, host.Host);
        var status = HttpMessages.StatusOf(reason);
        Refused(scope.Dialer.Caller.Id.Path, status, sentence);
        context.Response.Headers["Proxy-Status"] = HttpMessages.ProxyStatusOf(reason);
        await AnswerAsync(context, status, sentence).ConfigureAwait(false);
    }

    // What Kestrel lets pass and a proxy must not.
    private static string? Malformed(HttpRequest request)
    {
        if (HttpMethods.IsConnect(request.Method)) return "CONNECT must be the first request of a connection; open another for it.";
        if (request.Headers.TransferEncoding.Count > 0)
        {
            // Kestrel believes the coding and keeps the length under another name; whoever sent both means to confuse somebody (RFC 9112 §6.3).
            if (request.ContentLength is not null || request.Headers.ContainsKey("X-Content-Length")) return "The request has both Content-Length and Transfer-Encoding; send one of them.";
            if (request.Protocol != HttpProtocol.Http11) return "Only HTTP/1.1 knows Transfer-Encoding (RFC 9112 §6.1); send a Content-Length.";
        }
        var target = request.HttpContext.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>()!.RawTarget;
        const string Scheme = "http://";
        if (!target.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) return null;
        var authority = target.AsSpan(Scheme.Length);
        if (authority.IndexOfAny('/', '?', '#') is >= 0 and var end) authority = authority[..end];
        return authority.Contains('@') ? "The URL holds a user; leave it out (RFC 9110 §4.2.4), and send credentials in a field." : null;
    }

    private static (PortalError Reason, string Sentence) Explain(Exception? failure, string host)
    {
        for (var e = failure; e is not null; e = e.InnerException)
        {
            if (e is PortalException refusal) return (refusal.Error, refusal.Message);
        }
        return failure is OperationCanceledException
            ? (PortalError.TimedOut, $"{host} did not answer in time; see flor status for the path to it.")
            : (PortalError.ProtocolViolation, $"{host} was reached and did not answer as an HTTP server: {failure?.Message ?? "the connection ended"}.");
    }

    private static Task AnswerAsync(HttpContext context, int status, string sentence)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        // It may be otherwise in a moment (RFC 9110 §15.5.5 lets a 404 be kept).
        context.Response.Headers.CacheControl = "no-store";
        var body = Encoding.UTF8.GetBytes(sentence + "\n");
        context.Response.ContentLength = body.Length;
        return context.Response.Body.WriteAsync(body, CancellationToken.None).AsTask();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "An HTTP request of {Caller} ended with {Status}: {Why}")]
    private partial void Refused(string caller, int status, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An HTTP client gave a wrong user or password")]
    private partial void WrongPassword();

    /// <summary>Forwards as the client asked; the proxy's own fields end here (RFC 9110 §7.6.1, §11.7.1).</summary>
    private sealed class PassHost : HttpTransformer
    {
        public static readonly PassHost Instance = new();

        public override async ValueTask TransformRequestAsync(
            HttpContext httpContext, HttpRequestMessage proxyRequest, string destinationPrefix, CancellationToken cancellationToken)
        {
            await base.TransformRequestAsync(httpContext, proxyRequest, destinationPrefix, cancellationToken).ConfigureAwait(false);
            proxyRequest.Headers.Remove("Proxy-Authorization");
            proxyRequest.Headers.Remove("Proxy-Connection");
            proxyRequest.Headers.Host = httpContext.Request.Host.ToUriComponent();
        }
    }
}
