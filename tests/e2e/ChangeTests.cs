using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>What changes under a running cluster: addresses, processes, clocks, SVIDs.</summary>
[Trait("Lane", "1")]
public sealed class ChangeTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_download_goes_on_when_its_node_gets_another_address()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        await UnderDownloadAsync(cluster, server, seconds: 15, async () =>
        {
            var cable = cluster.CableOf("a", "b");
            await cable.Left.IpAsync("addr", "add", $"10.77.{cable.Number}.77/24", "dev", cable.Device);
            await cable.Left.IpAsync("addr", "del", $"{cable.LeftAddress}/24", "dev", cable.Device);
            await cable.Left.IpAsync("addr", "replace", $"10.77.{cable.Number}.77/24", "dev", cable.Device);
        });
    }

    [Fact]
    public async Task A_download_goes_on_when_the_transit_node_restarts()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        await UnderDownloadAsync(cluster, server, seconds: 20, async () =>
        {
            await cluster["b"].Process!.KillAsync();
            cluster.Run(cluster["b"]);
            await cluster.ReadyAsync();
        });
    }

    [Fact]
    public async Task A_service_is_reached_again_after_its_node_restarts()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        Assert.True(await cluster["c"].Process!.StopAsync(), "flor had to be killed");
        cluster.Run(cluster["c"]);
        await cluster.ReadyAsync();
        var got = (await Command.ShellAsync(cluster.First.Network, "curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/bytes/1000000 | sha256sum")).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(1_000_000), got.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Links_and_connections_hold_between_a_clock_60_s_ahead_and_one_60_s_behind()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line with
        {
            Clocks = new Dictionary<string, TimeSpan> { ["a"] = TimeSpan.FromSeconds(60), ["c"] = TimeSpan.FromSeconds(-60) },
        });
        var server = cluster.Content;
        var downs = await cluster.LinkDownsAsync();
        await UnderDownloadAsync(cluster, server, seconds: 30, () => Task.CompletedTask);
        Assert.Equal(downs, await cluster.LinkDownsAsync());

        await cluster.ReachableAsync("hello");
    }

    [Fact]
    [Trait("Lane", "0")]
    public async Task A_download_goes_on_while_SVIDs_of_thirty_seconds_rotate()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Plan.Line);
        await cluster.IssueAsync(TimeSpan.FromSeconds(30));
        await cluster.RunAsync();
        var server = cluster.Content;

        var downs = await cluster.LinkDownsAsync();

        // Far beyond the verifier's grace of two minutes for the first SVIDs.
        await UnderDownloadAsync(cluster, server, seconds: 180, async () =>
        {
            // As long as the download surely lasts: issuing takes its own time.
            for (var watch = Stopwatch.StartNew(); watch.Elapsed < TimeSpan.FromSeconds(160);)
            {
                await Task.Delay(TimeSpan.FromSeconds(10));
                await cluster.IssueAsync(TimeSpan.FromSeconds(30));
            }
        });
        Assert.Equal(downs, await cluster.LinkDownsAsync());
    }

    /// <summary>A download of so many seconds at 20 MB/s, one TCP connection, during which something happens.</summary>
    private static async Task UnderDownloadAsync(Cluster cluster, ContentServer server, int seconds, Func<Task> happening)
    {
        using var client = await SocksClient.ConnectAsync(cluster.First.Network, "hello.rete", 80);
        Assert.Equal(-1, await client.GetAsync($"/timed/{seconds}/20000000"));
        var download = new Download();
        var reading = client.ReadAsync(-1, download);
        await Eventually.HoldsAsync("it has begun", () => download.Bytes > 10_000_000 || reading.IsFaulted);
        await happening();
        Assert.False(reading.IsCompleted, $"the download ended too early: {reading.Exception?.Message}");
        var seen = download.Bytes;
        await Eventually.HoldsAsync("it goes on afterwards", () => download.Bytes > seen + 5_000_000 || reading.IsCompleted, () => $"{download.Bytes - seen} bytes came.");
        _ = await reading.WaitAsync(TimeSpan.FromSeconds(seconds) + Eventually.Deadline);
        var sent = Assert.Single(server.Timed);
        Assert.Equal(sent, download.Bytes);
        Assert.Equal(ContentServer.Checksum(sent), download.Checksum);
    }
}
