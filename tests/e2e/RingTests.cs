using System.Globalization;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>A ring of four: the path under a download goes away, and the same TCP connection goes on over the other half.</summary>
public sealed class RingTests(ITestOutputHelper output)
{
    private const long Size = 1L << 30;

    [Fact]
    public Task A_download_survives_a_link_that_goes_down() =>
        SurvivesAsync("link down", (_, cable, _) => cable.CutAsync());

    [Fact]
    public Task A_download_survives_a_link_that_falls_silent() =>
        SurvivesAsync("silence", (_, cable, _) => cable.SilenceAsync());

    [Fact]
    public Task A_download_survives_the_crash_of_the_transit_node() =>
        SurvivesAsync("kill -9 of transit", (cluster, _, transit) => cluster[transit].Process!.KillAsync());

    [Fact]
    public async Task A_link_that_comes_back_is_used_again_after_the_other_path_fails()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Ring);
        using var client = await SocksClient.ConnectAsync(cluster.First.Network, "hello.rete", 80);
        var download = new Download();
        var reading = client.ReadAsync(await client.GetAsync($"/bytes/{Size}"), download);
        foreach (var transit in new[] { "b", "d", "b" })
        {
            var cable = cluster.CableOf("a", transit);
            await MovesAsync(download, reading);
            await cable.CutAsync();
            await MovesAsync(download, reading);
            await cable.MendAsync();
            await cluster.ReadyAsync();
        }

        _ = await reading.WaitAsync(TimeSpan.FromMinutes(4));
        Assert.Equal(ContentServer.Checksum(Size), download.Checksum);
    }

    private async Task SurvivesAsync(string what, Func<Cluster, Cable, string, Task> fail)
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Ring);
        foreach (var node in cluster.Nodes)
        {
            await Eventually.HoldsAsync("links have left their youth", async () => Status.LinksAreOlderThan(await node.StatusAsync(), TimeSpan.FromSeconds(6)));
        }

        using var client = await SocksClient.ConnectAsync(cluster.First.Network, "hello.rete", 80);
        var download = new Download();
        var length = await client.GetAsync($"/bytes/{Size}");
        var viaB = await ReceivedAsync(cluster, "b");
        var viaD = await ReceivedAsync(cluster, "d");
        var reading = client.ReadAsync(length, download);
        await MovesAsync(download, reading);

        // The half of the ring that carries it: the one whose counter at a has moved.
        var transit = await ReceivedAsync(cluster, "b") - viaB > await ReceivedAsync(cluster, "d") - viaD ? "b" : "d";
        var before = download.Bytes;
        download.Watch();
        await fail(cluster, cluster.CableOf("a", transit), transit);
        await MovesAsync(download, reading);
        var gap = download.LongestPause;
        Assert.True(before < Size, "the download was over before the failure");

        _ = await reading.WaitAsync(TimeSpan.FromMinutes(4));
        Assert.Equal(ContentServer.Checksum(Size), download.Checksum);
        lab.Say($"measured: {what} under a download in a ring of four: a gap of {gap.TotalMilliseconds:0} ms");
    }

    /// <summary>Waits for 50 MB more, or the end.</summary>
    private static async Task MovesAsync(Download download, Task<Download> reading)
    {
        var from = download.Bytes;
        await Eventually.HoldsAsync("bytes move", () => download.Bytes - from > 50_000_000 || reading.IsCompleted, () => $"{download.Bytes - from} did, {from} had before.");
        if (reading.IsFaulted)
        {
            _ = await reading;
        }
    }

    private static async Task<long> ReceivedAsync(Cluster cluster, string transit)
    {
        var device = cluster.CableOf("a", transit).Device;
        var text = (await Command.RunAsync(cluster["a"].Network, ["cat", $"/sys/class/net/{device}/statistics/rx_bytes"])).Succeeded().Output;
        return long.Parse(text, CultureInfo.InvariantCulture);
    }
}
