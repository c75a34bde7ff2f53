using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>A machine joins by token, two hops from the issuer; nodes renew what they hold by themselves.</summary>
[Trait("Lane", "2")]
public sealed class JoinTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_machine_joins_by_token_through_a_neighbour_and_reaches_a_service_at_the_issuer()
    {
        await using var lab = await Lab.OpenAsync(output);
        var nodes = await JoinedNodes.StartAsync(lab);
        lab.Own(new ContentServer(nodes.A.Network, 8080));
        var watch = Stopwatch.StartNew();
        _ = (await nodes.JoinAsync()).Succeeded();
        lab.Say($"measured: join through a neighbour, from nothing running at a and b: {watch.Elapsed.TotalSeconds:0.0} s");
        await nodes.RunJoinedAsync();
        await nodes.ReachableAsync("far");
        var got = (await Command.ShellAsync(nodes.C.Network, "curl -sSf -x socks5h://127.0.0.1:1080 http://far.rete/bytes/1000000 | sha256sum")).Succeeded();
        Assert.StartsWith(ContentServer.Checksum(1_000_000), got.Output, StringComparison.Ordinal);

        // Repeated where it is done: nothing happens.
        Assert.Contains("has joined already", (await nodes.JoinAsync()).Succeeded().Error, StringComparison.Ordinal);
        // Another machine with the same token.
        var second = await nodes.JoinAsync(Path.Combine(lab.Folder, "thief"));
        Assert.Equal(1, second.ExitCode);
        Assert.Contains("was redeemed at", second.Error, StringComparison.Ordinal);
        var events = nodes.Events(nodes.A).ToArray();
        Assert.Single(events, static e => e.GetProperty("kind").GetString() == "join");
        Assert.Contains(events, static e => e.GetProperty("kind").GetString() == "refusal" && e.GetProperty("subject").GetString() == "spiffe://e2e/node/c");
    }

    [Fact]
    public async Task A_join_that_is_killed_again_and_again_ends_well_when_it_is_repeated()
    {
        await using var lab = await Lab.OpenAsync(output);
        var nodes = await JoinedNodes.StartAsync(lab);
        var random = new Random();
        var kills = 0;
        // A join takes a second or two: kills fall before it asks, while it waits, and while it writes.
        for (var i = 0; i < 12 && !File.Exists(nodes.C.ConfigFile); i++)
        {
            var joining = lab.Start("florete-agent join", nodes.C.Network, [Programs.Agent, "join", nodes.Token, "--folder", nodes.C.Folder]);
            await Task.Delay(random.Next(200, 2500));
            await joining.KillAsync();
            kills++;
        }
        _ = (await nodes.JoinAsync()).Succeeded();
        lab.Say($"measured: {kills} kills before node c had joined");
        Assert.False(Directory.Exists(Path.Combine(nodes.C.Folder, "joining")));
        await nodes.RunJoinedAsync();
        lab.Own(new ContentServer(nodes.B.Network, 8080));
        await nodes.ReachableAsync("hello");
        Assert.Single(nodes.Events(nodes.A), static e => e.GetProperty("kind").GetString() == "join");
    }

    [Fact]
    public async Task A_wrong_token_a_wrong_address_and_a_closed_door_are_one_clear_error_each()
    {
        await using var lab = await Lab.OpenAsync(output);
        var nodes = await JoinedNodes.StartAsync(lab);
        var folder = Path.Combine(lab.Folder, "d");
        async Task FailsAsync(string token, string part, int timeout = 2)
        {
            var failed = await nodes.JoinAsync(folder, token, timeout);
            Assert.Equal(1, failed.ExitCode);
            Assert.Contains(part, failed.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", failed.Error, StringComparison.Ordinal);
            Assert.False(File.Exists(Path.Combine(folder, "flor.yaml")));
        }
        await FailsAsync("nonsense", "a token begins with florete-join-1.");
        await FailsAsync(nodes.Token[..^40], "copy it whole");
        var brief = await nodes.FlorctlAsync("token", "create", "--dir", nodes.OperatorFolder, "--node", "d", "--via", "b=10.77.250.1:7431", "--issuer", "a");
        await FailsAsync(brief, "10.77.250.1:7431");
        // Of another cluster, but with b's address.
        await nodes.FlorctlAsync("cluster", "init", "other", "--dir", Path.Combine(lab.Folder, "other"));
        var foreign = await nodes.FlorctlAsync("token", "create", "--dir", Path.Combine(lab.Folder, "other"), "--node", "d", "--via", $"{nodes.BtoC.LeftAddress}:7431", "--issuer", "a");
        await FailsAsync(foreign, "is not the cluster that the token names");
        // b lets nobody join any more.
        await File.WriteAllTextAsync(nodes.B.ConfigFile, (await File.ReadAllTextAsync(nodes.B.ConfigFile)).Replace("join: true", "join: false", StringComparison.Ordinal));
        _ = (await Command.RunAsync(nodes.B.Network, [Programs.Flor, "reload", "--control", nodes.B.ControlSocket])).Succeeded();
        await FailsAsync(await nodes.TokenAsync("d"), "lets nobody join");
    }

    [Fact]
    [Trait("Lane", "0")]
    public async Task SVIDs_and_authorities_of_short_life_are_renewed_on_every_node_under_a_download_also_while_the_issuer_is_cut_off()
    {
        await using var lab = await Lab.OpenAsync(output);
        // The authorities that a issues live for one minute: c has to renew its own over the mesh, a third of the time without reaching a.
        var nodes = await JoinedNodes.StartAsync(lab, "--svid-life", "20s", "--authority-life", "1m");
        var server = lab.Own(new ContentServer(nodes.B.Network, 8080));
        _ = (await nodes.JoinAsync()).Succeeded();
        // Shorter than what the join issued.
        foreach (var file in Directory.GetFiles(Path.Combine(nodes.C.Folder, "identities"))) File.Delete(file);
        await nodes.RunIdentityFirstAsync();
        await nodes.ReachableAsync("hello");

        const int Seconds = 100;
        using var client = await SocksClient.ConnectAsync(nodes.C.Network, "hello.rete", 80);
        Assert.Equal(-1, await client.GetAsync($"/timed/{Seconds}/5000000"));
        var download = new Download();
        var reading = client.ReadAsync(-1, download);
        await IssuedAsync(nodes, 1);
        await nodes.AtoB.CutAsync();
        // Ten seconds each, so the authority's own half life falls into it.
        await IssuedAsync(nodes, 4);
        Assert.False(reading.IsCompleted, $"the download ended too early: {reading.Exception?.Message}");
        // New connections too, between b and c, by SVIDs that both made while a was away.
        await nodes.ReachableAsync("hello");
        await nodes.AtoB.MendAsync();
        _ = await reading.WaitAsync(TimeSpan.FromSeconds(Seconds) + Eventually.Deadline);
        var sent = Assert.Single(server.Timed);
        Assert.Equal(sent, download.Bytes);
        Assert.Equal(ContentServer.Checksum(sent), download.Checksum);
        foreach (var node in nodes.Nodes)
        {
            // What florctl issued to a and b lives for a month; what they issued themselves, as short as everything of c.
            var subject = node == nodes.C ? "spiffe://e2e/vertex/c" : "spiffe://e2e/service/spare";
            var issues = Issues(nodes, node, subject);
            Assert.True(issues > Seconds / 15, $"{node.Name} issued {subject} {issues} times.\n{nodes.Logs()}");
        }
        Assert.Contains(nodes.Events(nodes.A), static e => e.GetProperty("kind").GetString() == "renew" && e.GetProperty("subject").GetString() == "spiffe://e2e/node/c");
        await nodes.ReachableAsync("hello");
    }

    // Node c makes SVIDs of its vertex so many times more.
    private static async Task IssuedAsync(JoinedNodes nodes, int more)
    {
        const string Subject = "spiffe://e2e/vertex/c";
        var before = Issues(nodes, nodes.C, Subject);
        await Eventually.HoldsAsync($"c renews {more} times", () => Issues(nodes, nodes.C, Subject) >= before + more, deadline: TimeSpan.FromMinutes(2));
    }

    private static int Issues(JoinedNodes nodes, Node node, string subject) =>
        nodes.Events(node).Count(e => e.GetProperty("kind").GetString() == "issue" && e.GetProperty("subject").GetString() == subject);
}
