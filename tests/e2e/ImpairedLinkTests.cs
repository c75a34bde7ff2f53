using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Bad links are slow, not broken: what fits in 20 s moves, arrives unharmed, and neither a connection nor a link is lost.</summary>
public sealed class ImpairedLinkTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => [.. Impairments.Keys];

    private static readonly Dictionary<string, Impairment> Impairments = new()
    {
        ["1 % loss"] = new() { Loss = 0.01 },
        ["5 % loss"] = new() { Loss = 0.05 },
        ["20 ms ± 5 ms"] = new() { Delay = TimeSpan.FromMilliseconds(20), Jitter = TimeSpan.FromMilliseconds(5) },
        ["reordering"] = new() { Delay = TimeSpan.FromMilliseconds(5), Reordering = 0.25 },
        ["duplication"] = new() { Duplication = 0.05 },
        ["1 Mbit/s"] = new() { Rate = 1_000_000, Queue = 100 },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_download_moves_for_twenty_seconds_and_ends_right_over(string link)
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line with { Wires = new Dictionary<(string, string), Impairment> { [("a", "b")] = Impairment.None } });
        var server = cluster.Content;
        var wire = cluster.CableOf("a", "b").Wire!;
        var downs = await cluster.LinkDownsAsync();
        wire.Impairment = Impairments[link];

        var got = (await Command.ShellAsync(
            cluster.First.Network, "curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/timed/20/0 | sha256sum", TimeSpan.FromMinutes(3))).Succeeded();
        var sent = Assert.Single(server.Timed);
        Assert.StartsWith(ContentServer.Checksum(sent), got.Output, StringComparison.Ordinal);
        Assert.Equal(downs, await cluster.LinkDownsAsync());

        lab.Say($"measured: {link}: {sent / 1e6:0.0} MB in {got.Took.TotalSeconds:0.0} s, {wire.Passed} frames passed, {wire.Lost} lost");
    }
}
