using Florete.EndToEnd.Tests.Harness;
using Florete.Portals;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Who is not to come in does not, is told why where it is safe to tell, and is counted.</summary>
[Trait("Lane", "2")]
public sealed class RefusalTests(ITestOutputHelper output)
{
    private static readonly Plan Pair = new() { Nodes = ["a", "b"], Links = [("a", "b")] };

    [Fact]
    public async Task A_node_of_another_root_forms_no_link_although_its_cluster_has_the_same_name()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Pair);
        var foreign = Path.Combine(lab.Folder, "foreign");
        (await cluster.FlorctlAsync("cluster", "init", Cluster.Name, "--dir", foreign)).Succeeded();
        Directory.Delete(cluster["b"].Folder, recursive: true);
        (await cluster.FlorctlAsync("node", "add", "b", "--dir", foreign, "--out", cluster["b"].Folder, "--allow",
            "--listen", $"0.0.0.0:{Cluster.Port}", "--link", $"a={cluster.CableOf("a", "b").LeftAddress}:{Cluster.Port}")).Succeeded();
        await RefusedLinkAsync(cluster, "root", "issuer", "chain", "bundle", "unknown");
    }

    [Fact]
    public async Task An_expired_SVID_forms_no_link()
    {
        await using var lab = await Lab.OpenAsync(output);

        // b lives an hour ago, where its own SVID of 30 s is still good; a knows better.
        var hour = TimeSpan.FromHours(1);
        var cluster = await Cluster.PrepareAsync(lab, Pair with
        {
            Age = hour + TimeSpan.FromMinutes(1),
            Clocks = new Dictionary<string, TimeSpan> { ["b"] = -hour },
        });
        await cluster.IssueAsync(cluster["b"], "vertex/b", TimeSpan.FromSeconds(30), hour);
        await RefusedLinkAsync(cluster, "expired");
    }

    [Fact]
    public async Task A_vertex_that_is_not_the_one_expected_at_its_address_forms_no_link()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Pair);

        // At b's address there is d, with a proper SVID of the same cluster, that waits to be dialled.
        Directory.Delete(cluster["b"].Folder, recursive: true);
        (await cluster.FlorctlAsync("node", "add", "d", "--dir", cluster.OperatorFolder, "--out", cluster["b"].Folder,
            "--listen", $"0.0.0.0:{Cluster.Port}", "--link", "a")).Succeeded();
        await cluster.SignBoundsAsync(version: 101);
        RunAll(cluster);
        var (a, b) = (cluster["a"], cluster["b"]);
        await Eventually.HoldsAsync(
            "a says that what is there does not take the name of b, and d counts who asked for b",
            async () =>
            {
                Assert.Equal(0, Status.LinksUp(await a.StatusAsync()));
                return a.Process!.Log.Contains("No link to spiffe://e2e/vertex/b", StringComparison.Ordinal)
                    && a.Process.Log.Contains("our name for it", StringComparison.Ordinal)
                    && b.Process!.Log.Contains("which is not here", StringComparison.Ordinal)
                    && Status.Refusals(await b.StatusAsync()) > 1;
            },
            () => $"{a.Process!.Log}\n\n{b.Process!.Log}");
    }

    [Fact]
    public async Task A_workload_s_SVID_forms_no_link()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Pair);
        var (a, b) = (cluster["a"], cluster["b"]);
        await cluster.IssueAsync(b, "workload/thief", TimeSpan.FromHours(1));
        cluster.Run(a);
        await Eventually.HoldsAsync("a answers", async () => Status.LinksUp(await a.StatusAsync()) == 0, () => a.Process!.Log);
        var refused = await Impostor.DialAsync(b, "workload/thief", "a", $"{cluster.CableOf("a", "b").LeftAddress}:{Cluster.Port}");
        Assert.Equal(PortalError.Refused, refused?.Error);
        await Eventually.HoldsAsync(
            "a has counted it",
            async () =>
            {
                var status = await a.StatusAsync();
                return Status.Refusals(status) > 0 && (status.GetRawText() + a.Process!.Log).Contains("not a vertex", StringComparison.Ordinal);
            },
            () => a.Process!.Log);
    }

    [Fact]
    public async Task A_caller_without_a_rule_is_refused_with_the_name_of_the_missing_rule()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        var near = cluster.First.Network;
        (await Command.ShellAsync(near, "curl -sSf -x http://127.0.0.1:1080 http://hello.rete/")).Succeeded();

        await cluster.SignBoundsAsync(version: 101, connect: "  - {from: [user/alice], to: [service/other]}");
        var answer = "";
        await Eventually.HoldsAsync(
            "the proxy refuses",
            async () =>
            {
                answer = (await Command.ShellAsync(near, "curl -sS -w '%{http_code}' -x http://127.0.0.1:1080 http://hello.rete/")).Output;
                return answer.EndsWith("403", StringComparison.Ordinal);
            },
            () => $"it said: {answer}");
        Assert.Contains("user/alice", answer, StringComparison.Ordinal);
        Assert.Contains("service/hello", answer, StringComparison.Ordinal);
        var served = server.Total;
        var socks = await Command.ShellAsync(near, "curl -sS -x socks5h://127.0.0.1:1080 http://hello.rete/");
        Assert.NotEqual(0, socks.ExitCode);

        // SOCKS: connection not allowed by ruleset (RFC 1928 §6).
        Assert.Contains("(2)", socks.Error, StringComparison.Ordinal);
        Assert.Equal(served, server.Total);
        // By whoever had the new bounds first: the caller's node, or the service's.
        Assert.True(Status.Refusals(await cluster.First.StatusAsync()) + Status.Refusals(await cluster["c"].StatusAsync()) > 0);
    }

    [Fact]
    public async Task A_caller_is_refused_by_the_service_s_node_even_if_its_own_node_would_let_it_pass()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var server = cluster.Content;
        var near = cluster.First.Network;
        (await Command.ShellAsync(near, "curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/")).Succeeded();
        var served = server.Total;

        // c alone gets the narrower bounds; a still obeys the wide ones.
        var wide = await File.ReadAllBytesAsync(cluster["a"].BoundsFile);
        await cluster["a"].Process!.StopAsync();
        await cluster.SignBoundsAsync(version: 101, connect: "  - {from: [user/alice], to: [service/other]}");
        await File.WriteAllBytesAsync(cluster["a"].BoundsFile, wide);
        await Eventually.HoldsAsync("c obeys them", () => cluster["c"].Process!.Log.Contains("version 101 are in force", StringComparison.Ordinal), () => cluster["c"].Process!.Log);
        cluster.Run(cluster["a"]);
        await Eventually.HoldsAsync(
            "c refuses, and counts it",
            async () =>
            {
                var socks = await Command.ShellAsync(near, "curl -sS -m 5 -x socks5h://127.0.0.1:1080 http://hello.rete/");
                return socks.ExitCode != 0 && Status.Refusals(await cluster["c"].StatusAsync()) > 0;
            },
            () => cluster["c"].Process!.Log);
        Assert.Equal(served, server.Total);
    }

    [Fact]
    public async Task Altered_unsigned_and_older_bounds_are_refused_and_the_good_ones_stay_in_force()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var near = cluster.First;
        await cluster.SignBoundsAsync(version: 101, connect: "  - {from: [user/alice], to: [service/other]}");
        var older = await File.ReadAllBytesAsync(near.BoundsFile);
        await cluster.SignBoundsAsync(version: 102);
        var good = await File.ReadAllBytesAsync(near.BoundsFile);
        await Eventually.HoldsAsync(
            "all obey the newest bounds",
            () => Task.FromResult(cluster.Nodes.All(static node => node.Process!.Log.Contains("version 102 are in force", StringComparison.Ordinal))),
            () => near.Process!.Log);
        var altered = (byte[])good.Clone();
        altered[altered.Length / 2] ^= 1;
        foreach (var (what, bytes) in new[] { ("older", older), ("altered", altered), ("unsigned", "version: 200\ncluster: e2e\n"u8.ToArray()) })
        {
            foreach (var node in cluster.Nodes)
            {
                await File.WriteAllBytesAsync(node.BoundsFile, bytes);
            }

            var lines = near.Process!.Log.Length;
            await Eventually.HoldsAsync($"flor speaks about the {what} bounds", () => near.Process.Log.Length != lines, () => near.Process.Log);
            (await Command.ShellAsync(near.Network, "curl -sSf -x socks5h://127.0.0.1:1080 http://hello.rete/")).Succeeded();
        }

        // And with such a file flor does not start at all, and says why.
        Assert.True(await near.Process!.StopAsync());
        cluster.Run(near);
        Assert.NotEqual(0, await near.Process.WaitAsync());
        Assert.Contains("bounds.signed", near.Process.Log, StringComparison.Ordinal);
    }

    private static void RunAll(Cluster cluster)
    {
        foreach (var node in cluster.Nodes)
        {
            cluster.Run(node);
        }
    }

    /// <summary>Runs the pair: a refuses b again and again, says one of the words, counts it, and there is never a link.</summary>
    private static async Task RefusedLinkAsync(Cluster cluster, params string[] words)
    {
        RunAll(cluster);
        var a = cluster["a"];
        await Eventually.HoldsAsync(
            "a refuses the link, says why and counts it",
            async () =>
            {
                var status = await a.StatusAsync();
                Assert.Equal(0, Status.LinksUp(status));
                return Status.Refusals(status) > 1 && words.Any(word => (status.GetRawText() + a.Process!.Log).Contains(word, StringComparison.OrdinalIgnoreCase));
            },
            () => string.Join("\n\n", cluster.Nodes.Select(node => $"{node.Name}: {node.Process!.Log}")));
    }
}
