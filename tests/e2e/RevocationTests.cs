using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Florete.Identities;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>`florctl revoke` at one node ends at every node what it is about, and that stays so.</summary>
[Trait("Lane", "2")]
public sealed class RevocationTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_download_by_a_user_who_is_revoked_elsewhere_ends_and_no_connection_is_opened_any_more()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        using var client = await SocksClient.ConnectAsync(a.Network, "hello.rete", 80);
        Assert.Equal(-1, await client.GetAsync("/timed/120/20000000"));
        var download = new Download();
        var reading = client.ReadAsync(-1, download);
        await Eventually.HoldsAsync("the download has begun", () => download.Bytes > 10_000_000 || reading.IsFaulted);
        Assert.False(reading.IsCompleted);

        var watch = Stopwatch.StartNew();
        await RevokeAsync(cluster, b, "user/alice", "--reason", "key-compromise", "--note", "laptop stolen");
        var signed = watch.Elapsed;
        await Eventually.HoldsAsync("the download has ended", () => reading.IsCompleted, () => a.Process!.Log);
        var ended = watch.Elapsed;
        _ = await Assert.ThrowsAnyAsync<Exception>(() => reading);
        var (code, answer) = await FetchAsync(a);
        var refused = watch.Elapsed;
        Assert.True(code == "403", $"{code}: {answer}");
        Assert.Contains("user/alice was revoked by operator/root", answer, StringComparison.Ordinal);
        Assert.Contains("key-compromise: laptop stolen", answer, StringComparison.Ordinal);
        lab.Say($"measured: since florctl revoke began: it ended after {signed.TotalSeconds:0.00} s, the download was seen closed after {ended.TotalSeconds:0.00} s, a new connection was refused after {refused.TotalSeconds:0.00} s");

        // Whoever was first closed it, says so, and counts it; the holder knows what is wrong.
        await Eventually.HoldsAsync("a or c has counted it", async () =>
            Status.Counter(await a.StatusAsync(), "transport.closedRevoked") + Status.Counter(await c.StatusAsync(), "transport.closedRevoked") > 0);
        Assert.Contains("Revocation in force", c.Process!.Log, StringComparison.Ordinal);
        var health = await Command.RunAsync(a.Network, [Programs.Flor, "health", "--control", a.ControlSocket]);
        Assert.Equal(1, health.ExitCode);
        Assert.Contains("florctl identity issue", health.Output, StringComparison.Ordinal);
        var events = (await Command.RunAsync(c.Network, [Programs.Flor, "events", "--control", c.ControlSocket])).Succeeded().Output;
        Assert.Contains("\"kind\":\"revocation\",\"subject\":\"user/alice\"", events, StringComparison.Ordinal);
        var listed = (await cluster.FlorctlAsync("revocations", "--control", c.ControlSocket)).Succeeded().Output;
        Assert.Contains("user/alice", listed, StringComparison.Ordinal);

        // Issued anew, alice is good again, at once.
        await cluster.IssueAsync(a, "user/alice", TimeSpan.FromHours(1));
        await cluster.ReachableAsync("hello");
        Assert.Equal("200", (await FetchAsync(a)).Code);
    }

    [Fact]
    public async Task A_revoked_vertex_has_no_link_any_more_and_traffic_goes_round_it()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Ring);
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        var watch = Stopwatch.StartNew();
        await RevokeAsync(cluster, a, "vertex/b");
        var signed = watch.Elapsed;
        await Eventually.HoldsAsync(
            "the links of b are down everywhere",
            async () => Status.LinksUp(await b.StatusAsync()) == 0 && Status.LinksUp(await a.StatusAsync()) == 1 && Status.LinksUp(await c.StatusAsync()) == 1,
            () => b.Process!.Log);
        lab.Say($"measured: the links of a revoked vertex were down {(watch.Elapsed - signed).TotalSeconds:0.00} s after florctl revoke, which took {signed.TotalSeconds:0.00} s");
        Assert.Equal("200", (await FetchAsync(a)).Code);
        await Eventually.HoldsAsync("b says that it is revoked", () => b.Process!.Log.Contains("This vertex is revoked", StringComparison.Ordinal), () => b.Process!.Log);
        var status = (await b.StatusAsync()).GetRawText();
        Assert.Contains("was revoked by operator/root", status, StringComparison.Ordinal);

        // A restart changes nothing for it, at either side.
        await b.Process!.KillAsync();
        cluster.Run(b);
        await Eventually.HoldsAsync("a refuses it", async () => Status.Refusals(await a.StatusAsync()) > 0 && a.Process!.Log.Contains("vertex/b was revoked", StringComparison.Ordinal), () => a.Process!.Log);
        Assert.Equal(1, Status.LinksUp(await a.StatusAsync()));

        await cluster.IssueAsync(b, "vertex/b", TimeSpan.FromHours(1));
        await cluster.ReadyAsync();
    }

    [Fact]
    public async Task A_node_that_was_cut_off_enforces_it_when_it_is_back_and_a_restart_of_all_changes_nothing()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line);
        var (a, c) = (cluster["a"], cluster["c"]);
        var cable = cluster.CableOf("b", "c");
        await cable.CutAsync();
        await Eventually.HoldsAsync("c is cut off", async () => Status.LinksUp(await c.StatusAsync()) == 0);

        // Carried by a file, as where there is no florctl.
        var file = Path.Combine(lab.Folder, "alice.revocation");
        (await cluster.FlorctlAsync("revoke", "user/alice", "--dir", cluster.OperatorFolder, "--force", "--out", file)).Succeeded();
        (await Command.RunAsync(a.Network, [Programs.Flor, "announce", file, "--control", a.ControlSocket])).Succeeded();
        Assert.Equal(["user/alice"], Status.Revoked(await a.StatusAsync()));
        Assert.Empty(Status.Revoked(await c.StatusAsync()));
        var watch = Stopwatch.StartNew();
        await cable.MendAsync();
        await Eventually.HoldsAsync("the link of c is up", async () => Status.LinksUp(await c.StatusAsync()) == 1);
        var up = watch.Elapsed;
        await Eventually.HoldsAsync("c enforces it", async () => Status.Revoked(await c.StatusAsync()).Count == 1, () => c.Process!.Log);
        lab.Say($"measured: c enforces what was revoked while it was cut off {(watch.Elapsed - up).TotalSeconds:0.00} s after its link was seen up");

        foreach (var node in cluster.Nodes) await node.Process!.KillAsync();

        // Alone, with nobody to tell it.
        cluster.Run(c);
        await Eventually.HoldsAsync("c answers", async () => Status.Revoked(await c.StatusAsync()).Count == 1, () => c.Process!.Log);
        cluster.Run(cluster["b"]);
        cluster.Run(a);
        await Eventually.HoldsAsync("all links are up", async () => Status.LinksUp(await cluster["b"].StatusAsync()) == 2);
        Assert.All(cluster.Nodes, static node => Assert.Equal(["user/alice"], Status.Revoked(node.StatusAsync().GetAwaiter().GetResult())));
        var (code, answer) = await FetchAsync(a);
        Assert.True(code == "403" && answer.Contains("was revoked", StringComparison.Ordinal), $"{code}: {answer}");
    }

    [Fact]
    public async Task Whatever_a_vertex_or_a_service_or_another_root_signs_revokes_nobody()
    {
        const int each = 5;
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Plan.Line with { Nodes = ["a", "b", "c", "d"], Links = [("a", "b"), ("b", "c"), ("b", "d")], Guests = ["d"] });
        await cluster.IssueAsync(cluster["d"], "service/ghost", TimeSpan.FromHours(1));
        await cluster.RunAsync();
        var b = cluster["b"];
        var foreign = Path.Combine(lab.Folder, "foreign");
        (await cluster.FlorctlAsync("cluster", "init", Cluster.Name, "--dir", foreign)).Succeeded();
        await using var member = await HostileMember.JoinAsync(cluster["d"], "b", $"{cluster.CableOf("b", "d").AddressOf(b.Network)}:{Cluster.Port}");
        var alice = member.Id(IdentityKind.User, "alice").ToString();
        var stranger = member.Answerable(SvidFiles.Read(Path.Combine(foreign, "operator", "operator-root.pem")));
        foreach (var (signer, reason) in new[] { (member.Vertex, "wrongKind"), (member.Svid(IdentityKind.Service, "ghost"), "wrongKind"), (stranger, "certificate") })
        {
            var before = Refused(await b.StatusAsync(), reason);
            for (var i = 1; i <= each; i++)
            {
                // A link that was down meanwhile may have lost some.
                await member.SayAsync(DirectoryForge.Offer(DirectoryForge.Revocation(signer, alice, i)));
                var wanted = before + i;
                await Eventually.HoldsAsync(
                    $"b counts {wanted} under {reason}",
                    async () =>
                    {
                        if (Refused(await b.StatusAsync(), reason) >= wanted) return true;
                        await member.SayAsync(DirectoryForge.Offer(DirectoryForge.Revocation(signer, alice, i)));
                        return false;
                    },
                    () => b.Process!.Log);
            }
        }

        // The same by the front door.
        var file = Path.Combine(lab.Folder, "foreign.revocation");
        (await cluster.FlorctlAsync("revoke", "user/alice", "--dir", foreign, "--force", "--out", file)).Succeeded();
        var announced = await Command.RunAsync(b.Network, [Programs.Flor, "announce", file, "--control", b.ControlSocket]);
        Assert.Equal(1, announced.ExitCode);
        Assert.Contains("unknown authority", announced.Error, StringComparison.Ordinal);
        foreach (var node in cluster.Nodes) Assert.Empty(Status.Revoked(await node.StatusAsync()));
        Assert.Equal("200", (await FetchAsync(cluster["a"])).Code);
    }

    private static long Refused(System.Text.Json.JsonElement status, string reason) => Status.DirectoryRefusals(status).GetValueOrDefault(reason);

    private static async Task RevokeAsync(Cluster cluster, Node at, string identity, params string[] more) =>
        (await cluster.FlorctlAsync(["revoke", identity, "--dir", cluster.OperatorFolder, "--force", "--control", at.ControlSocket, .. more])).Succeeded();

    private static async Task<(string Code, string Answer)> FetchAsync(Node from)
    {
        var got = await Command.ShellAsync(from.Network, $"curl -sS -m 30 -w '\n%{{http_code}}' -x http://127.0.0.1:{Plan.ProxyPort} http://hello.rete/");
        var end = got.Output.LastIndexOf('\n');
        return (got.Output[(end + 1)..], got.Output[..Math.Max(0, end)]);
    }
}
