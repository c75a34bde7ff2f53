using System.Buffers;
using Florete.Identities;

namespace Florete.Portals;

/// <summary>HTTP to identities: <c>new HttpClient(PortalHttp.CreateHandler(portal)).GetStringAsync("http://hello.rete/")</c>.</summary>
public static class PortalHttp
{
    // Instances come and go, and a new connection is placed where there is room: a pooled one is not kept for ever. It costs one round trip.
    private static readonly TimeSpan PooledLifetime = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PooledIdle = TimeSpan.FromSeconds(30);

    // The longest registered method has 17 (UPDATEREDIRECTREF).
    private const int MaxMethodBytes = 24;

    // RFC 9110 §5.6.2.
    private static readonly SearchValues<byte> TokenBytes =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>HTTP/2 as its callers begin (RFC 9113 §3.4); no HTTP/1 method begins like it.</summary>
    public static CallerProtocol Http2Protocol { get; } = CallerProtocol.StartingWith("HTTP/2", "PRI "u8.ToArray());

    /// <summary>HTTP of any version as its callers begin: a method and a space (RFC 9112 §3), of which HTTP/2's preface is one. For <see cref="SharedPortal.For"/>.</summary>
    public static CallerProtocol Protocol { get; } = new("HTTP", static first =>
    {
        var method = first.IndexOfAnyExcept(TokenBytes);
        if (method < 0) return first.Length > MaxMethodBytes ? Recognition.No : Recognition.Perhaps;
        return method is > 0 and <= MaxMethodBytes && first[method] == (byte)' ' ? Recognition.Yes : Recognition.No;
    });

    /// <summary>
    /// A handler whose connections go through the portal, as its identity. The host of a request is a name of the mesh; ports mean nothing. The
    /// way is encrypted and both ends are proved, so the scheme is <c>http</c>; HTTP/2 needs <c>HttpVersionPolicy.RequestVersionExact</c>. What a
    /// portal refuses is an <see cref="HttpRequestException"/> with its reason; the <see cref="PortalException"/> is inside. The caller may change
    /// every setting before the first request.
    /// </summary>
    /// <param name="portal">Of the calling identity.</param>
    /// <param name="trafficClass">QoS class of the connections.</param>
    public static SocketsHttpHandler CreateHandler(IProgramPortal portal, TrafficClass trafficClass = TrafficClass.Bulk) =>
        CreateHandler(portal, new ConnectOptions(Class: trafficClass));

    /// <summary>The same with every connection as told: to one instance, say.</summary>
    /// <param name="portal">Of the calling identity.</param>
    /// <param name="options">Of its connections.</param>
    public static SocketsHttpHandler CreateHandler(IProgramPortal portal, ConnectOptions options) => new()
    {
        ConnectCallback = async (context, cancellationToken) => new PortalStream(
            await portal.ConnectAsync(context.DnsEndPoint.Host, options, cancellationToken).ConfigureAwait(false), isAbortedByDispose: true),
        // The machine's proxy knows no names of the mesh.
        UseProxy = false,
        PooledConnectionLifetime = PooledLifetime,
        PooledConnectionIdleTimeout = PooledIdle,
        EnableMultipleHttp2Connections = true,
    };

    /// <summary>The same in the process of a vertex, for an identity that it holds.</summary>
    public static SocketsHttpHandler CreateHandler(IPortal portal, HeldIdentity caller) => CreateHandler(portal.As(caller));
}
