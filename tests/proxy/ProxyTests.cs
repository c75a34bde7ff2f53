using System.Net;
using System.Net.Sockets;
using System.Text;
using Florete.Portals;
using Florete.Proxy.Tests.Harness;

namespace Florete.Proxy.Tests;

/// <summary>Real clients on loopback through inbounds, a portal in memory, and outbounds.</summary>
public class ProxyTests
{
    private const string Shared = "inbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    sharedByThisMachine: true\n";
    private const string Guarded = "inbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    credentials: {user: alice, passwordFile: secret}\n";

    public static TheoryData<string> Ways() => ["socks5h://", "http://", "http:// -p"];

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Curl_moves_100_MB_each_way_with_the_right_checksum(string way)
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", web.Port));
        const int Size = 100_000_000;
        var content = WebServer.Content(Size);
        var down = await Curl.RunAsync([.. Via(node, way), $"http://hello.rete/bytes/{Size}"]);
        Assert.Equal((0, WebServer.Hash(content)), (down.ExitCode, WebServer.Hash(down.Bytes)));
        var file = Path.Combine(node.Folder, "upload");
        await File.WriteAllBytesAsync(file, content);
        var up = await Curl.RunAsync([.. Via(node, way), "-T", file, "http://hello.home.rete:8080/hash"]);
        Assert.Equal((0, WebServer.Hash(content)), (up.ExitCode, up.Text));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Credentials_open_the_port_and_nothing_else_does(string way)
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await StartGuardedAsync(web.Port);
        var right = await Curl.RunAsync([.. Via(node, way), "--proxy-user", "alice:open sesame", "http://hello.rete/bytes/5"]);
        Assert.Equal((0, 5), (right.ExitCode, right.Bytes.Length));
        foreach (var wrong in new[] { new[] { "--proxy-user", "alice:open sesam" }, ["--proxy-user", "bob:open sesame"], ["--proxy-user", "alice:"], [] })
        {
            var refused = await Curl.RunAsync([.. Via(node, way), .. wrong, "-w", "%{http_code}", "http://hello.rete/bytes/5"]);
            if (way == "http://") Assert.EndsWith("407", refused.Text, StringComparison.Ordinal);
            else Assert.NotEqual(0, refused.ExitCode);
            Assert.DoesNotContain(WebServer.Content(5), refused.Bytes.Chunk(5));
        }
    }

    [Fact]
    public async Task The_proxys_own_headers_do_not_reach_the_service_and_the_others_do()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await StartGuardedAsync(web.Port);
        var seen = await Curl.RunAsync(
            [.. Via(node, "http://"), "--proxy-user", "alice:open sesame", "-H", "X-Mine: 1", "-H", "Proxy-Connection: keep-alive", "http://hello.rete/headers"]);
        Assert.Contains("X-Mine: 1", seen.Text, StringComparison.Ordinal);
        Assert.Contains("Host: hello.rete\n", seen.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("proxy-", seen.Text, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("hello.rete", 0)]
    [InlineData("HELLO.home.RETE.", 0)]
    [InlineData("nobody.rete", 4)]
    [InlineData("down.rete", 5)]
    [InlineData("other.rete", 2)]
    [InlineData("example.com", 2)]
    [InlineData("a..rete", 4)]
    [InlineData("127.0.0.1", 8)]
    [InlineData("::1", 8)]
    public async Task Socks_answers_with_the_code_that_fits(string host, int code)
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await StartWithRefusalsAsync(web.Port);
        using var socket = await SocksClient.DialAsync(node.Inbound);
        Assert.Equal(code, await SocksClient.RequestAsync(socket, host));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(77)]
    public async Task Socks_commands_other_than_connect_are_refused(byte command)
    {
        await using var node = await TestNode.StartAsync(Shared);
        using var socket = await SocksClient.DialAsync(node.Inbound);
        Assert.Equal(7, await SocksClient.RequestAsync(socket, "hello.rete", command));
    }

    [Theory]
    [InlineData("http://other.rete/", 403, "add a rule")]
    [InlineData("http://down.rete/", 502, "start it")]
    [InlineData("http://nobody.rete/", 404, "Nothing publishes")]
    [InlineData("http://example.com/", 403, ".rete")]
    public async Task Http_answers_with_a_sentence_that_names_the_remedy(string url, int status, string sentence)
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await StartWithRefusalsAsync(web.Port);
        var plain = await Curl.RunAsync([.. Via(node, "http://"), "-w", "%{http_code}", url]);
        Assert.EndsWith($"\n{status}", plain.Text, StringComparison.Ordinal);
        Assert.Contains(sentence, plain.Text, StringComparison.Ordinal);
        var answer = await AskAsync(node.Inbound, $"CONNECT {new Uri(url).Host}:80 HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.Contains(sentence, answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_without_a_whole_url_is_told_that_this_is_a_proxy()
    {
        await using var node = await TestNode.StartAsync(Shared);
        var answer = await Curl.RunAsync("-w", "%{http_code}", $"http://{node.Inbound}/");
        Assert.EndsWith("400", answer.Text, StringComparison.Ordinal);
        Assert.Contains("This is a proxy", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_half_close_passes_and_the_answer_comes_back()
    {
        await using var server = new RawServer(async socket =>
        {
            var request = await SocksClient.ReadToEndAsync(socket);
            await socket.SendAsync(Encoding.ASCII.GetBytes(WebServer.Hash(request)));
        });
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        using var client = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
        var content = WebServer.Content(3_000_000);
        await client.SendAsync(content);
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal(WebServer.Hash(content), Encoding.ASCII.GetString(await SocksClient.ReadToEndAsync(client)));
    }

    [Fact]
    public async Task A_server_that_speaks_first_and_then_half_closes_is_heard_and_still_hears()
    {
        var heard = new TaskCompletionSource<byte[]>();
        await using var server = new RawServer(async socket =>
        {
            await socket.SendAsync("SSH-2.0\r\n"u8.ToArray());
            socket.Shutdown(SocketShutdown.Send);
            heard.SetResult(await SocksClient.ReadToEndAsync(socket));
        });
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        using var client = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
        Assert.Equal("SSH-2.0\r\n"u8.ToArray(), await SocksClient.ReadToEndAsync(client));
        await client.SendAsync("late"u8.ToArray());
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal("late"u8.ToArray(), await heard.Task);
    }

    [Fact]
    public async Task A_reset_by_the_service_is_a_reset_for_the_client()
    {
        await using var server = new RawServer(async socket =>
        {
            await SocksClient.ReadAsync(socket, 1);
            socket.LingerState = new LingerOption(true, 0);
            socket.Close();
        });
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        using var client = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
        await client.SendAsync(new byte[1]);
        var error = await Assert.ThrowsAsync<SocketException>(() => SocksClient.ReadToEndAsync(client));
        Assert.Equal(SocketError.ConnectionReset, error.SocketErrorCode);
    }

    [Fact]
    public async Task A_reset_by_the_client_is_a_reset_for_the_service()
    {
        var seen = new TaskCompletionSource<Exception?>();
        await using var server = new RawServer(async socket => seen.SetResult(await Record.ExceptionAsync(() => SocksClient.ReadToEndAsync(socket))));
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        var client = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
        await client.SendAsync(new byte[1]);
        client.LingerState = new LingerOption(true, 0);
        client.Close();
        Assert.Equal(SocketError.ConnectionReset, Assert.IsType<SocketException>(await seen.Task).SocketErrorCode);
    }

    [Fact]
    public async Task A_forward_leads_to_its_target()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(
            "inbounds:\n  - forward: 127.0.0.1:0\n    to: hello.rete\n    as: user/alice\n    sharedByThisMachine: true\n" + Outbound("hello", web.Port));
        var got = await Curl.RunAsync($"http://{node.Inbound}/bytes/1000");
        Assert.Equal(WebServer.Content(1000), got.Bytes);
    }

    [Fact]
    public async Task Five_hundred_connections_at_once_each_get_their_own_bytes()
    {
        await using var server = new RawServer(async socket =>
        {
            var request = await SocksClient.ReadToEndAsync(socket);
            await socket.SendAsync(request);
        });
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        await Task.WhenAll(Enumerable.Range(0, 500).Select(async i =>
        {
            using var client = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
            var mine = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat($"{i} ", 2000)));
            await client.SendAsync(mine);
            client.Shutdown(SocketShutdown.Send);
            Assert.Equal(mine, await SocksClient.ReadToEndAsync(client));
        }));
    }

    [Fact]
    public async Task Stalled_readers_do_not_hold_up_a_live_one()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", web.Port));
        var stalled = new List<Socket>();
        for (var i = 0; i < 50; i++)
        {
            var socket = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
            await socket.SendAsync("GET /bytes/50000000 HTTP/1.1\r\nHost: hello.rete\r\n\r\n"u8.ToArray());
            stalled.Add(socket);
        }
        var live = await Curl.RunAsync([.. Via(node, "socks5h://"), "http://hello.rete/bytes/20000000"]);
        Assert.Equal((0, WebServer.Hash(WebServer.Content(20_000_000))), (live.ExitCode, WebServer.Hash(live.Bytes)));
        foreach (var socket in stalled) socket.Dispose();
    }

    [Fact]
    public async Task A_changed_configuration_keeps_connections_and_moves_ports()
    {
        await using var server = new RawServer(async socket => await socket.SendAsync(await SocksClient.ReadToEndAsync(socket)));
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", server.Port));
        using var old = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
        node.Write(Shared.Replace("127.0.0.1:0", "127.0.0.2:0", StringComparison.Ordinal) + Outbound("other", server.Port));
        Assert.Empty(await node.Node.ReloadAsync(default));
        Assert.Equal(IPAddress.Parse("127.0.0.2"), node.Inbound.Address);
        Assert.Equal([TestNode.Id("service/other")], node.Portal.Published);
        await old.SendAsync("on it goes"u8.ToArray());
        old.Shutdown(SocketShutdown.Send);
        Assert.Equal("on it goes"u8.ToArray(), await SocksClient.ReadToEndAsync(old));
    }

    [Fact]
    public async Task A_wrong_configuration_leaves_the_old_in_force()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + Outbound("hello", web.Port));
        node.Write(Shared.Replace("user/alice", "user/nobody", StringComparison.Ordinal) + "outbound: []\n");
        var problems = await node.Node.ReloadAsync(default);
        Assert.Contains(problems, problem => problem.Contains("did you mean 'outbounds'?", StringComparison.Ordinal));
        var still = await Curl.RunAsync([.. Via(node, "socks5h://"), "http://hello.rete/bytes/7"]);
        Assert.Equal(7, still.Bytes.Length);
    }

    internal static string Outbound(string service, int port) => $"outbounds:\n  - service: {service}\n    tcp: 127.0.0.1:{port}\n";

    private static string[] Via(TestNode node, string way) => way.EndsWith(" -p", StringComparison.Ordinal)
        ? ["-p", "-x", $"http://{node.Inbound}"]
        : ["-x", $"{way}{node.Inbound}"];

    private static async Task<TestNode> StartGuardedAsync(int port)
    {
        var node = TestNode.Prepare(Guarded + Outbound("hello", port));
        await File.WriteAllTextAsync(Path.Combine(node.Folder, "secret"), "open sesame\n");
        await node.RunAsync();
        return node;
    }

    private static async Task<TestNode> StartWithRefusalsAsync(int port)
    {
        using var closed = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        closed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var node = await TestNode.StartAsync(
            Shared + Outbound("hello", port) + $"  - service: down\n    tcp: {closed.LocalEndPoint}\n");
        node.Portal.Refuse = (caller, target) => target.Name == "other"
            ? new PortalException(PortalError.Refused, $"No rule lets {caller.Path} connect to {target.Path}; add a rule.")
            : null;
        return node;
    }

    private static async Task<string> AskAsync(IPEndPoint proxy, string request)
    {
        using var socket = await SocksClient.DialAsync(proxy);
        await socket.SendAsync(Encoding.ASCII.GetBytes(request));
        return Encoding.UTF8.GetString(await SocksClient.ReadToEndAsync(socket));
    }
}
