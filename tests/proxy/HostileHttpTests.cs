using System.Net.Sockets;
using System.Text;
using Florete.Portals;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Tests.Harness;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Tests;

/// <summary>What a proxy inbound answers to refusals and to requests that are wrong, or made to confuse, by bare sockets.</summary>
public class HostileHttpTests
{
    private const string Shared = "inbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    sharedByThisMachine: true\n";

    [Theory]
    [InlineData(PortalError.Refused, 403, "http_request_denied")]
    [InlineData(PortalError.NotFound, 404, "destination_not_found")]
    [InlineData(PortalError.Unreachable, 502, "destination_unavailable")]
    [InlineData(PortalError.TargetFailed, 502, "connection_refused")]
    [InlineData(PortalError.Closed, 502, "connection_terminated")]
    [InlineData(PortalError.ProtocolViolation, 502, "http_protocol_error")]
    [InlineData(PortalError.LimitReached, 503, "connection_limit_reached")]
    [InlineData(PortalError.TimedOut, 504, "connection_timeout")]
    public async Task A_refusal_is_a_status_a_reason_and_its_sentence(PortalError error, int status, string reason)
    {
        await using var node = await TestNode.StartAsync(Shared);
        node.Portal.Refuse = (_, _) => new PortalException(error, "The reason stands here.");
        foreach (var request in new[] { "CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete:80\r\n\r\n", "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nConnection: close\r\n\r\n" })
        {
            var answer = await ExchangeAsync(node, request);
            Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
            Assert.Contains($"\r\nProxy-Status: flor; error={reason}\r\n", answer, StringComparison.Ordinal);
            Assert.Contains("\r\nCache-Control: no-store\r\n", answer, StringComparison.Ordinal);
            Assert.Contains("The reason stands here.\n", answer, StringComparison.Ordinal);
        }
    }

    public static TheoryData<string> AmbiguousHeads() =>
    [
        "CONNECT hello.rete HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete: HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:0 HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:65536 HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:-1 HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:80x HTTP/1.1\r\n\r\n",
        "CONNECT :80 HTTP/1.1\r\n\r\n",
        "CONNECT  HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:80\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.10\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/2.0\r\n\r\n",
        "CONNECT hello.rete:80  HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete\t:80 HTTP/1.1\r\n\r\n",
        "CONNECT alice@hello.rete:80 HTTP/1.1\r\n\r\n",
        "CONNECT http://hello.rete:80 HTTP/1.1\r\n\r\n",
        "CONNECT hello\u00e9.rete:80 HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\nHost: hello.rete\n\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete\rX: y\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello\0.rete\r\n\r\n",
        "CONNECT hello\0.rete:80 HTTP/1.1\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nHost : hello.rete\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\n: nameless\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nno colon\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "CONNECT hello.rete:80 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CONNECT hello.rete:80 HTTP/1.1\r\nProxy-Authorization: Basic YQ==\r\nProxy-Authorization: Basic Yg==\r\n\r\n",
        "GET http://hello.rete/\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\nHost: hello.rete\n\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\nX: y\r\n\r\n",
        "GET http://hello.rete/\0 HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nX: a\0b\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nX : y\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nX: y\r\n folded\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nHost: other.rete\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\nHost: other.rete\r\n\r\n",
        "GET http://hello.rete/ HTTP/1.1\r\n\r\n",
        "GET http://alice:secret@hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "GET http://alice@hello.rete?x HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "GET http://hello.rete:99999/ HTTP/1.1\r\nHost: hello.rete:99999\r\n\r\n",
        "GET http://hello.rete:x/ HTTP/1.1\r\nHost: hello.rete:x\r\n\r\n",
        "GET http:///path HTTP/1.1\r\nHost: \r\n\r\n",
        "GET https://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "GET file:///etc/passwd HTTP/1.1\r\nHost: hello.rete\r\n\r\n",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 1, 2\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: -1\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 0x2\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 99999999999999999999\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://other.rete/ HTTP/1.1\r\nHost: other.rete\r\n\r\n",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nTransfer-Encoding: gzip\r\n\r\nab",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST http://hello.rete/hash HTTP/1.0\r\nHost: hello.rete\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];

    [Theory]
    [MemberData(nameof(AmbiguousHeads))]
    public async Task Malformed_and_ambiguous_heads_are_refused_and_reach_nobody(string head)
    {
        await using var node = await TestNode.StartAsync(Shared);
        var dialled = 0;
        node.Portal.Refuse = (_, _) =>
        {
            Interlocked.Increment(ref dialled);
            return null;
        };
        var answer = await ExchangeAsync(node, head);
        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Equal(1, answer.Split("\r\nContent-Length: ").Length - 1);
        Assert.Equal(0, dialled);
    }

    [Theory]
    [InlineData("GET http://hello.rete/ HTTP/1.1\r\n")]
    [InlineData("CONNECT hello.rete:80 HTTP/1.1\r\n")]
    public async Task A_head_without_end_is_refused_when_it_is_too_large(string line)
    {
        await using var node = await TestNode.StartAsync(Shared);
        using var client = await SocksClient.DialAsync(node.Inbound);
        var fields = Encoding.ASCII.GetBytes(line + string.Concat(Enumerable.Repeat($"X: {new string('a', 1000)}\r\n", 200)));
        await client.SendAsync(fields);
        Assert.StartsWith("HTTP/1.1 431 ", Encoding.ASCII.GetString(await SocksClient.ReadToEndAsync(client)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("X: ", 40_000, 1)]
    [InlineData("X: ", 10, 2000)]
    public async Task A_head_that_is_whole_and_too_large_is_refused(string field, int length, int count)
    {
        await using var node = await TestNode.StartAsync(Shared);
        var head = "GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\n" + string.Concat(Enumerable.Repeat($"{field}{new string('a', length)}\r\n", count)) + "\r\n";
        Assert.StartsWith("HTTP/1.1 431 ", await ExchangeAsync(node, head), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete:80\r\nContent-Length: 0\r\n\r\nGET /bytes/5 HTTP/1.1\r\nHost: hello.rete\r\nConnection: close\r\n\r\n", 2)]
    [InlineData("GET http://hello.rete/bytes/5 HTTP/1.1\r\nHost: hello.rete\r\nConnection: close\r\n\r\n", 1)]
    public async Task A_request_that_comes_byte_by_byte_is_served(string request, int answers)
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", web.Port));
        using var client = await SocksClient.DialAsync(node.Inbound);
        foreach (var one in Encoding.ASCII.GetBytes(request)) await client.SendAsync(new[] { one });
        var answer = Encoding.Latin1.GetString(await SocksClient.ReadToEndAsync(client));
        Assert.Equal(answers, answer.Split("HTTP/1.1 200 ").Length - 1);
    }

    [Fact]
    public async Task Requests_in_a_row_are_answered_in_order_and_junk_after_them_ends_the_connection()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", web.Port));
        const string Request = "POST http://hello.rete/hash HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 3\r\n\r\nabc";
        var answer = await ExchangeAsync(node, Request + Request + "\x01junk\r\n\r\n" + Request);
        Assert.Equal(2, answer.Split("HTTP/1.1 200 ").Length - 1);
        Assert.Equal(1, answer.Split("HTTP/1.1 400 ").Length - 1);
    }

    [Fact]
    public async Task A_connect_after_another_request_is_told_to_take_its_own_connection()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", web.Port));
        var answer = await ExchangeAsync(
            node, "GET http://hello.rete/bytes/1 HTTP/1.1\r\nHost: hello.rete\r\n\r\nCONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete:80\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        Assert.Equal(1, answer.Split("HTTP/1.1 400 ").Length - 1);
        Assert.Contains("open another", answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("CONNECT hello.rete:80 HTTP/1.1\r\nHost: hello.rete:80\r\n\r\n", "403")]
    [InlineData("CONNECT nonsense\r\n\r\n", "400")]
    [InlineData("GET http://hello.rete/ HTTP/1.1\r\nHost: two\r\nHost: hosts\r\n\r\n", "400")]
    [InlineData("POST http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n", "403")]
    public async Task An_answer_is_not_lost_while_the_client_goes_on_sending(string head, string status)
    {
        await using var node = await TestNode.StartAsync(Shared);
        node.Portal.Refuse = static (_, _) => new PortalException(PortalError.Refused, "no rule");
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync(Encoding.ASCII.GetBytes(head));
        // Neither sending nor reading may meet a reset.
        for (var i = 0; i < 40; i++) await client.SendAsync(new byte[100_000]);
        client.Shutdown(SocketShutdown.Send);
        Assert.StartsWith($"HTTP/1.1 {status} ", Encoding.ASCII.GetString(await SocksClient.ReadToEndAsync(client)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refusal_by_SOCKS_is_not_lost_while_the_client_goes_on_sending()
    {
        await using var node = await TestNode.StartAsync(Shared);
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync((byte[])[5, 1, 0, 5, 1, 0, 3, 11, .. "nobody.rete"u8, 0, 80]);
        for (var i = 0; i < 40; i++) await client.SendAsync(new byte[100_000]);
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal([5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0], await SocksClient.ReadToEndAsync(client));
    }

    [Fact]
    public async Task A_request_whose_client_has_gone_ends_at_the_service_too()
    {
        var asked = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        await using var server = new RawServer(async socket =>
        {
            await SocksClient.ReadAsync(socket, 10);
            asked.SetResult();
            // It never answers; the end of the request is all it waits for.
            await Record.ExceptionAsync(() => SocksClient.ReadToEndAsync(socket));
            ended.SetResult();
        });
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", server.Port));
        using (var client = await SocksClient.DialAsync(node.Inbound))
        {
            await client.SendAsync("GET http://hello.rete/ HTTP/1.1\r\nHost: hello.rete\r\n\r\n"u8.ToArray());
            await asked.Task;
            client.LingerState = new LingerOption(true, 0);
        }
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void The_log_has_no_line_for_every_request()
    {
        using var logs = Commands.CommonOptions.Logs();
        Assert.False(logs.CreateLogger("Microsoft.AspNetCore.Hosting.Diagnostics").IsEnabled(LogLevel.Information));
        Assert.False(logs.CreateLogger("Yarp.ReverseProxy.Forwarder.HttpForwarder").IsEnabled(LogLevel.Warning));
        Assert.True(logs.CreateLogger("Florete.Node").IsEnabled(LogLevel.Information));
    }

    [Fact]
    public async Task A_client_that_sends_without_end_is_not_read_without_end()
    {
        await using var node = await TestNode.StartAsync(Shared);
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync("CONNECT nonsense\r\n\r\n"u8.ToArray());
        var piece = new byte[100_000];
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            // The kernel's buffers take some more.
            for (long sent = 0; sent < LingeringClose.MaxBytes + 100_000_000; sent += piece.Length) await client.SendAsync(piece);
        });
    }

    [Fact]
    public async Task Random_bytes_end_only_their_own_connection()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", web.Port));
        var random = new Random(11);
        byte[][] beginnings = [[], [.. "CONNECT "u8], [.. "CONNECT hello.rete:80 HTTP/1.1\r\n"u8], [.. "GET http://hello.rete/ HTTP/1.1\r\n"u8], [5], [5, 1, 0], [5, 1, 0, 5, 1, 0]];
        for (var i = 0; i < 300; i++)
        {
            var noise = new byte[random.Next(1, 2000)];
            random.NextBytes(noise);
            try
            {
                var answer = await ExchangeAsync(node, [.. beginnings[i % beginnings.Length], .. noise, .. "\r\n\r\n"u8]);
                Assert.DoesNotContain("HTTP/1.1 200", answer, StringComparison.Ordinal);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                // Cut off: as good as an answer.
            }
        }
        using var honest = await SocksClient.ConnectAsync(node.Inbound, "hello.rete");
    }

    [Fact]
    public void The_end_of_a_head_is_found_however_it_comes_in_pieces()
    {
        var head = "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"u8.ToArray();
        byte[] data = [.. head, .. "body\n\n\0"u8];
        var scanned = 0;
        for (var length = 0; length < head.Length; length++)
        {
            Assert.Equal(System.Buffers.OperationStatus.NeedMoreData, HttpMessages.FindEndOfHead(data.AsSpan(0, length), ref scanned, out _));
        }
        for (var length = head.Length; length <= data.Length; length++)
        {
            scanned = 0;
            Assert.Equal(System.Buffers.OperationStatus.Done, HttpMessages.FindEndOfHead(data.AsSpan(0, length), ref scanned, out var end));
            Assert.Equal(head.Length, end);
        }
    }

    private static Task<string> ExchangeAsync(TestNode node, string request) => ExchangeAsync(node, Encoding.Latin1.GetBytes(request));

    /// <summary>Sends the bytes and returns all that comes back until the proxy ends.</summary>
    private static async Task<string> ExchangeAsync(TestNode node, byte[] request)
    {
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync(request);
        client.Shutdown(SocketShutdown.Send);
        return Encoding.Latin1.GetString(await SocksClient.ReadToEndAsync(client));
    }
}
