using System.Net;
using System.Net.Sockets;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Somebody sends what was never asked for, in bulk.</summary>
public sealed class HostileTrafficTests(ITestOutputHelper output)
{
    private const long MemoryGrowth = 50_000_000;

    [Fact]
    public async Task A_million_replayed_and_altered_datagrams_are_dropped_counted_and_forgotten()
    {
        const int injected = 1_000_000;
        const int captured = 20_000;

        // Far below what the node can refuse, so that its socket's buffer never overflows and every datagram is seen.
        const int perSecond = 25_000;
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        var victim = cluster["a"];
        var downs = await cluster.LinkDownsAsync();
        using var injector = new Injector(cluster.CableOf("a", "b"), victim.Network);
        using var client = await SocksClient.ConnectAsync(victim.Network, "hello.rete", 80);

        Assert.Equal(-1, await client.GetAsync("/timed/60/10000000"));
        var download = new Download();
        var reading = client.ReadAsync(-1, download);
        await Task.Run(() => injector.Capture(captured, Cluster.Port));
        var before = Status.Rejected(await victim.StatusAsync());
        var overflowBefore = await OverflowAsync(victim.Network);
        var memoryBefore = victim.Process!.ResidentBytes;

        await Task.Run(() => injector.Inject(injected / 2, flip: false, perSecond));
        await Task.Run(() => injector.Inject(injected - (injected / 2), flip: true, perSecond));

        _ = await reading.WaitAsync(TimeSpan.FromMinutes(3));
        var sent = Assert.Single(server.Timed);
        Assert.Equal(ContentServer.Checksum(sent), download.Checksum);
        var overflow = await OverflowAsync(victim.Network) - overflowBefore;
        var rejected = Status.Rejected(await victim.StatusAsync()) - before;
        var grown = victim.Process.ResidentBytes - memoryBefore;
        lab.Say($"measured: {injected} datagrams injected: {rejected} refused and counted, {overflow} lost to a full socket, memory grew by {grown / 1e6:0.0} MB");

        // What the network itself repeats or a full socket loses is no more than a hundredth of a percent.
        Assert.InRange(rejected, injected - overflow, injected + (injected / 10_000));
        Assert.True(grown < MemoryGrowth, $"memory grew by {grown} bytes");
        Assert.Equal(downs, await cluster.LinkDownsAsync());
    }

    [Fact]
    public async Task Ten_thousand_half_open_proxy_connections_cost_little_and_leave_room()
    {
        const int halfOpen = 10_000;
        const long size = 500_000_000;
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var near = cluster.First;
        await near.Network.SysctlAsync("net.ipv4.ip_local_port_range=1024 65000");
        _ = await FetchAsync(near, size);
        var memoryBefore = near.Process!.ResidentBytes;

        // A neighbour on this machine can spoil a pair of transfers; what the connections themselves cost would spoil each.
        var cost = double.MaxValue;
        for (var pair = 0; pair < 3 && cost >= 2; pair++)
        {
            var alone = await FetchAsync(near, size);
            using var sockets = new DisposableList();
            for (var i = 0; i < halfOpen; i++) sockets.Add(await GreetHalfAsync(near));
            var beside = await FetchAsync(near, size);
            var grown = near.Process.ResidentBytes - memoryBefore;
            lab.Say($"measured: {halfOpen} half-open connections: memory grew by {grown / 1e6:0.0} MB; {alone:0} Mbit/s without them, {beside:0} Mbit/s beside them");
            Assert.True(grown < MemoryGrowth, $"memory grew by {grown} bytes");
            cost = alone / beside;
        }
        Assert.True(cost < 2, $"three times a good transfer was slower by a factor of {cost:0.0} and more");
    }

    /// <summary>Half a greeting, and then nothing. The proxy may refuse or close it at any time: its right.</summary>
    private static async Task<Socket> GreetHalfAsync(Node node)
    {
        var socket = node.Network.Enter(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, Plan.ProxyPort);
            _ = await socket.SendAsync(new byte[] { 5 });
        }
        catch (SocketException)
        {
        }
        return socket;
    }

    private static async Task<double> FetchAsync(Node node, long size)
    {
        var got = (await Command.ShellAsync(node.Network, $"curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/bytes/{size} | sha256sum", TimeSpan.FromMinutes(3))).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(size), got.Output, StringComparison.Ordinal);
        return size * 8 / got.Took.TotalSeconds / 1e6;
    }

    /// <summary>UDP datagrams that the kernel dropped for a full socket, in this namespace.</summary>
    private static async Task<long> OverflowAsync(NetworkNamespace network)
    {
        var lines = (await Command.RunAsync(network, ["grep", "^Udp:", "/proc/net/snmp"])).Succeeded().Output.Split('\n');
        var column = Array.IndexOf(lines[0].Split(' '), "RcvbufErrors");
        return long.Parse(lines[1].Split(' ')[column], System.Globalization.CultureInfo.InvariantCulture);
    }

    private sealed class DisposableList : List<IDisposable>, IDisposable
    {
        public void Dispose() => ForEach(item => item.Dispose());
    }
}
