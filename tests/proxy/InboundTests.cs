using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Outbounds;
using Florete.Proxy.Tests.Harness;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Proxy.Tests;

/// <summary>Inbounds and an outbound over a portal in memory, with real sockets and a real client.</summary>
public sealed class InboundTests : IAsyncDisposable
{
    private static readonly SpiffeId Hello = SpiffeId.Of("home", IdentityKind.Service, "hello");
    private readonly LoopbackPortal portal = new(SpiffeId.Of("home", IdentityKind.Vertex, "a"));
    private readonly EdgeConnections connections = new();
    private readonly TcpListener program = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stopping = new();
    private readonly Dialer dialer;
    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
    private Listener? listener;

    public InboundTests() => dialer = new Dialer(portal, Held(SpiffeId.Of("home", IdentityKind.User, "alice")), connections);

    [Fact]
    public async Task A_forward_carries_bytes_both_ways_and_half_closes()
    {
        await PublishAsync();
        using var client = await ForwardAsync();
        await client.SendAsync("GET"u8.ToArray());
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal("you sent 3 bytes", await ReadAllAsync(client));
    }

    [Fact]
    public async Task A_forward_that_is_refused_resets_its_client()
    {
        // The reset may come before connecting is done.
        var failure = await Assert.ThrowsAsync<SocketException>(async () =>
        {
            using var client = await ForwardAsync();
            await ReadAllAsync(client);
        });
        Assert.Equal(SocketError.ConnectionReset, failure.SocketErrorCode);
    }

    [Fact]
    public async Task Curl_reaches_a_service_by_SOCKS()
    {
        await PublishAsync();
        var (code, output) = await CurlAsync("http://hello.rete/");
        Assert.Equal(0, code);
        Assert.StartsWith("you sent", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Curl_is_told_by_SOCKS_that_the_bounds_forbid_it()
    {
        portal.Refuse = static (_, _) => new PortalException(PortalError.Refused, "no rule");
        var (code, output) = await CurlAsync("http://hello.rete/");
        Assert.NotEqual(0, code);
        Assert.Contains("(2)", output, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        if (listener is not null) await listener.DisposeAsync();
        program.Dispose();
        await stopping.CancelAsync();
        authority.Dispose();
    }

    private HeldIdentity Held(SpiffeId id) => new(authority.Issue(id, TimeSpan.FromHours(1), DateTimeOffset.UtcNow));

    // Answers each connection with how much came until its half-close, or until the end of an HTTP head.
    private async Task PublishAsync()
    {
        program.Start();
        _ = Task.Run(async () =>
        {
            while (true)
            {
                using var socket = await program.AcceptSocketAsync(stopping.Token);
                var (sum, buffer) = (0, new byte[4096]);
                while (await socket.ReceiveAsync(buffer) is > 0 and var count)
                {
                    sum += count;
                    if (!Encoding.ASCII.GetString(buffer, 0, count).EndsWith("\r\n\r\n", StringComparison.Ordinal)) continue;
                    await socket.SendAsync("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"u8.ToArray());
                    break;
                }
                await socket.SendAsync(Encoding.ASCII.GetBytes($"you sent {sum} bytes"));
                socket.Shutdown(SocketShutdown.Send);
                while (await socket.ReceiveAsync(buffer) > 0)
                {
                }
            }
        });
        await portal.PublishAsync(Held(Hello), new TcpOutbound(Hello, program.LocalEndpoint, connections, NullLogger.Instance));
    }

    private async Task<Socket> ForwardAsync()
    {
        var forward = new ForwardInbound(dialer, Hello, ConnectOptions.Default, NullLogger.Instance, stopping.Token);
        listener = new Listener("forward", Listener.Bind(new IPEndPoint(IPAddress.Loopback, 0)), forward.ServeAsync, NullLogger.Instance);
        var client = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(listener.LocalEndPoint);
        return client;
    }

    private async Task<(int Code, string Output)> CurlAsync(string url)
    {
        await using var gate = new HandshakeGate();
        using var scope = new HttpScope(dialer, null);
        await using var gateway = await HttpGateway.StartAsync(NullLoggerFactory.Instance, stopping.Token);
        var proxy = new ProxyInbound(scope, gateway, gate, NullLogger.Instance, stopping.Token);
        listener = new Listener("proxy", Listener.Bind(new IPEndPoint(IPAddress.Loopback, 0)), proxy.ServeAsync, NullLogger.Instance);
        using var curl = Process.Start(new ProcessStartInfo("curl", ["-sS", "-m", "20", "-x", $"socks5h://{listener.LocalEndPoint}", url])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var (output, error) = (curl.StandardOutput.ReadToEndAsync(), curl.StandardError.ReadToEndAsync());
        await curl.WaitForExitAsync();
        return (curl.ExitCode, await output + await error);
    }

    private static async Task<string> ReadAllAsync(Socket socket)
    {
        var (text, buffer) = (new StringBuilder(), new byte[4096]);
        while (await socket.ReceiveAsync(buffer) is > 0 and var count) text.Append(Encoding.ASCII.GetString(buffer, 0, count));
        return text.ToString();
    }
}
