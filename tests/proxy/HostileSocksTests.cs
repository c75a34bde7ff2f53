using System.Buffers;
using System.Net.Sockets;
using System.Text;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Tests.Harness;

namespace Florete.Proxy.Tests;

/// <summary>SOCKS5 requests that are wrong, in pieces, or noise.</summary>
public class HostileSocksTests
{
    private const string Shared = "inbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    sharedByThisMachine: true\n";

    private static readonly byte[] Greeting = [5, 1, 0];

    [Fact]
    public void Every_beginning_of_a_message_waits_for_more_and_the_whole_is_read_to_its_last_byte()
    {
        byte[] greeting = [5, 3, 0, 1, 2], password = [1, 5, .. "alice"u8, 4, .. "pass"u8], request = [5, 1, 0, 3, 10, .. "hello.rete"u8, 0, 80], v6 = [5, 1, 0, 4, .. new byte[16], 0, 80];
        for (var length = 0; length < greeting.Length; length++) Assert.Equal(OperationStatus.NeedMoreData, SocksMessages.TryParseGreeting(greeting.AsSpan(0, length), out _, out _, out _));
        for (var length = 0; length < password.Length; length++) Assert.Equal(OperationStatus.NeedMoreData, SocksMessages.TryParsePassword(password.AsSpan(0, length), out _, out _, out _));
        for (var length = 0; length < request.Length; length++) Assert.Equal(OperationStatus.NeedMoreData, SocksMessages.TryParseRequest(request.AsSpan(0, length), out _, out _));
        for (var length = 0; length < v6.Length; length++) Assert.Equal(OperationStatus.NeedMoreData, SocksMessages.TryParseRequest(v6.AsSpan(0, length), out _, out _));
        Assert.Equal(OperationStatus.Done, SocksMessages.TryParseGreeting([.. greeting, 9], out var offersNone, out var offersPassword, out var consumed));
        Assert.Equal((true, true, greeting.Length), (offersNone, offersPassword, consumed));
        Assert.Equal(OperationStatus.Done, SocksMessages.TryParsePassword([.. password, 9], out var user, out var secret, out consumed));
        Assert.Equal(("alice", "pass", password.Length), (Encoding.ASCII.GetString(user), Encoding.ASCII.GetString(secret), consumed));
        Assert.Equal(OperationStatus.Done, SocksMessages.TryParseRequest([.. request, 9], out var parsed, out consumed));
        Assert.Equal((new SocksRequest(1, "hello.rete"), request.Length), (parsed, consumed));
    }

    [Fact]
    public void Noise_is_parsed_without_a_fault_and_never_beyond_its_end()
    {
        var random = new Random(5);
        for (var i = 0; i < 100_000; i++)
        {
            var data = new byte[random.Next(40)];
            random.NextBytes(data);
            // Often enough the right version, so that what follows is looked at.
            if (data.Length > 0 && i % 2 == 0) data[0] = i % 4 == 0 ? (byte)5 : (byte)1;
            Assert.True(SocksMessages.TryParseGreeting(data, out _, out _, out var consumed) != OperationStatus.Done || consumed <= data.Length);
            Assert.True(SocksMessages.TryParsePassword(data, out _, out _, out consumed) != OperationStatus.Done || consumed <= data.Length);
            Assert.True(SocksMessages.TryParseRequest(data, out _, out consumed) != OperationStatus.Done || consumed <= data.Length);
        }
    }

    [Theory]
    [InlineData("", 2)]
    [InlineData("hello\0.rete", 4)]
    [InlineData("hello.rete\0", 2)]
    [InlineData("hello.rete\r\nX: y", 2)]
    [InlineData("h\u00e9llo.rete", 4)]
    [InlineData("hello@rete.rete", 4)]
    [InlineData("-hello.rete", 4)]
    [InlineData("spiffe://home/service/", 2)]
    [InlineData("spiffe://other/service/hello", 4)]
    public async Task Names_that_are_none_are_refused(string name, int code)
    {
        await using var node = await TestNode.StartAsync(Shared);
        var bytes = Encoding.Latin1.GetBytes(name);
        var answer = await ExchangeAsync(node, [.. Greeting, 5, 1, 0, 3, (byte)bytes.Length, .. bytes, 0, 80]);
        Assert.Equal([5, 0, 5, (byte)code, 0, 1, 0, 0, 0, 0, 0, 0], answer);
    }

    [Fact]
    public async Task The_longest_name_is_answered()
    {
        await using var node = await TestNode.StartAsync(Shared);
        var name = Encoding.ASCII.GetBytes(new string('a', 250) + ".rete");
        Assert.Equal(4, (await ExchangeAsync(node, [.. Greeting, 5, 1, 0, 3, (byte)name.Length, .. name, 0, 80]))[3]);
    }

    [Theory]
    [InlineData(new byte[] { 5, 0 }, new byte[0])]
    [InlineData(new byte[] { 5, 1, 77 }, new byte[] { 5, 0xFF })]
    [InlineData(new byte[] { 5, 2, 2, 1 }, new byte[] { 5, 0xFF })]
    [InlineData(new byte[] { 4, 1, 0, 80, 127, 0, 0, 1, 0 }, new byte[] { 0, 0x5B, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 5, 1, 0, 4, 1, 0, 3, 1, 65, 0, 80 }, new byte[] { 5, 0 })]
    [InlineData(new byte[] { 5, 1, 0, 5, 1, 0, 9, 1, 2, 3 }, new byte[] { 5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0 })]
    public async Task Wrong_messages_are_refused_or_cut_off(byte[] sent, byte[] answer)
    {
        await using var node = await TestNode.StartAsync(Shared);
        Assert.Equal(answer, await ExchangeAsync(node, sent));
    }

    [Fact]
    public async Task A_request_that_comes_byte_by_byte_with_data_behind_it_is_served()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(Shared + ProxyTests.Outbound("hello", web.Port));
        using var client = await SocksClient.DialAsync(node.Inbound);
        foreach (var one in (byte[])[.. Greeting, 5, 1, 0, 3, 10, .. "hello.rete"u8, 0, 80]) await client.SendAsync(new[] { one });
        await client.SendAsync("GET /bytes/5 HTTP/1.1\r\nHost: hello.rete\r\nConnection: close\r\n\r\n"u8.ToArray());
        var answer = await SocksClient.ReadToEndAsync(client);
        Assert.Equal([5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], answer[..12]);
        Assert.Equal(WebServer.Content(5), answer[^5..]);
    }

    private static async Task<byte[]> ExchangeAsync(TestNode node, byte[] request)
    {
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync(request);
        client.Shutdown(SocketShutdown.Send);
        return await SocksClient.ReadToEndAsync(client);
    }
}
