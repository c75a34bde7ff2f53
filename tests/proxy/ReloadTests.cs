using System.Net.Sockets;
using System.Text;
using Florete.Proxy.Tests.Harness;

namespace Florete.Proxy.Tests;

/// <summary>Clients of plain HTTP while the configuration changes under them.</summary>
public class ReloadTests
{
    private const string Shared = "inbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    sharedByThisMachine: true\n";

    [Fact]
    public async Task A_download_goes_on_when_its_inbound_changes_and_so_does_its_connection()
    {
        const int Size = 20_000_000;
        await using var web = await WebServer.StartAsync();
        var outbound = ProxyTests.Outbound("hello", web.Port);
        await using var node = await TestNode.StartAsync(Shared + outbound);
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync(Get($"bytes/{Size}"));
        // The first piece has come, so the request runs, and the buffers between hold less than the rest.
        var beginning = await SocksClient.ReadAsync(client, 1000);
        node.Write(Shared.Replace("user/alice", "service/other", StringComparison.Ordinal) + outbound);
        Assert.Empty(await node.Node.ReloadAsync(default));
        byte[] all = [.. beginning, .. await SocksClient.ReadAsync(client, EndOfHead(beginning) + Size - beginning.Length)];
        Assert.Equal(WebServer.Hash(WebServer.Content(Size)), WebServer.Hash(all[EndOfHead(beginning)..]));
        await client.SendAsync(Get("bytes/5", "Connection: close\r\n"));
        var next = await SocksClient.ReadToEndAsync(client);
        Assert.Equal(WebServer.Content(5), next[^5..]);
    }

    [Fact]
    public async Task Connections_into_the_mesh_that_nobody_uses_any_more_end_with_their_inbounds_old_settings()
    {
        await using var web = await WebServer.StartAsync();
        var outbound = ProxyTests.Outbound("hello", web.Port);
        await using var node = await TestNode.StartAsync(Shared + outbound);
        using var client = await SocksClient.DialAsync(node.Inbound);
        await client.SendAsync(Get("bytes/5"));
        await ReadAnswerAsync(client, 5);
        node.Write(Shared.Replace("user/alice", "service/other", StringComparison.Ordinal) + outbound);
        Assert.Empty(await node.Node.ReloadAsync(default));
        // The client is still there, so its pool is.
        Assert.Equal(1, node.Node.Connections.Count);
        client.Shutdown(SocketShutdown.Send);
        await SocksClient.ReadToEndAsync(client);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(15));
        while (node.Node.Connections.Count > 0) await Task.Delay(10, patience.Token);
    }

    [Fact]
    public async Task New_clients_act_as_the_new_identity_and_old_ones_as_the_old()
    {
        await using var web = await WebServer.StartAsync();
        var outbound = ProxyTests.Outbound("hello", web.Port);
        await using var node = await TestNode.StartAsync(Shared + outbound);
        var callers = new List<string>();
        node.Portal.Refuse = (caller, _) =>
        {
            lock (callers) callers.Add(caller.Path);
            return null;
        };
        using var old = await SocksClient.DialAsync(node.Inbound);
        await old.SendAsync(Get("bytes/5"));
        await ReadAnswerAsync(old, 5);
        node.Write(Shared.Replace("user/alice", "service/other", StringComparison.Ordinal) + outbound);
        Assert.Empty(await node.Node.ReloadAsync(default));
        using var young = await SocksClient.DialAsync(node.Inbound);
        await young.SendAsync(Get("bytes/5", "Connection: close\r\n"));
        await SocksClient.ReadToEndAsync(young);
        // Another host, so another connection into the mesh.
        await old.SendAsync(Get("bytes/5", "Connection: close\r\n", "hello.home.rete"));
        await SocksClient.ReadToEndAsync(old);
        Assert.Equal(["user/alice", "service/other", "user/alice"], callers);
    }

    private static byte[] Get(string path, string fields = "", string host = "hello.rete") =>
        Encoding.ASCII.GetBytes($"GET http://{host}/{path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");

    private static async Task ReadAnswerAsync(Socket socket, int bodyBytes)
    {
        List<byte> answer = [];
        while (EndOfHead([.. answer]) is var head && (head < 4 || answer.Count < head + bodyBytes)) answer.AddRange(await SocksClient.ReadAsync(socket, 1));
        Assert.StartsWith("HTTP/1.1 200", Encoding.ASCII.GetString([.. answer]), StringComparison.Ordinal);
    }

    private static int EndOfHead(byte[] answer) => answer.AsSpan().IndexOf("\r\n\r\n"u8) + 4;
}
