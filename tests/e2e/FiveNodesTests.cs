using System.Diagnostics;
using System.Text;
using Florete.Agent.Contracts;
using Florete.EndToEnd.Tests.Harness;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>The whole control plane on five nodes, every service a process of its own.</summary>
[Trait("Lane", "1")]
public sealed class FiveNodesTests(ITestOutputHelper output)
{
    // Longer than the test, and slow: the machine has other work.
    private const string Endless = "/timed/1200/2000000";

    private static readonly string[] Names = ["a", "b", "c", "d", "e"], Left = ["a", "b"], Right = ["c", "d", "e"];

    // A line with one more link. All SVIDs are renewed at half of their lives: while services are restarted each is once, on both sides of the cut some soon.
    private static readonly AgentPlan Five = new()
    {
        Names = Names,
        Links = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "e")],
        Published = [("a", "near"), ("e", "hello")],
        SvidLives = Names.ToDictionary(static name => name, static name => name is "b" or "d" ? "30s" : "60s"),
    };

    [Fact]
    public async Task Five_nodes_that_joined_by_token_live_through_cuts_deaths_and_restarts()
    {
        await using var lab = await Lab.OpenAsync(output);
        var watch = Stopwatch.StartNew();
        var nodes = await AgentNodes.StartAsync(lab, Five);
        var joined = watch.Elapsed;
        await nodes.ReadyAsync();
        var (whole, _) = await nodes.AgreedAsync(Names);
        lab.Say($"measured: five nodes, {Names.Length * (AgentNodes.Services.Length + 2)} processes: the last has joined after {joined.TotalSeconds:0.0} s, all are ready after {watch.Elapsed.TotalSeconds:0.0} s");
        foreach (var service in AgentNodes.Services.Append("flor"))
        {
            var all = (await Task.WhenAll(Names.Select(nodes.WorkloadsAsync))).Select(of => of.Single(one => one.Name == service)).ToArray();
            lab.Say($"measured: {service}, five of it: ready after {all.Max(static one => one.ReadyMilliseconds) / 1000.0:0.0} s at most, {all.Max(static one => ResidentBytes(one)) / 1e6:0} MB at most");
        }

        await SplitAsync(lab, nodes, whole);
        await DeathsAsync(lab, nodes);
        await RestartsAsync(lab, nodes);
    }

    // Two cuts make 2|3; each side goes on, and after it they are one.
    private static async Task SplitAsync(Lab lab, AgentNodes nodes, Florete.Identities.Epoch whole)
    {
        using var near = await SocksClient.ConnectAsync(nodes["b"].Network, "near.rete", 80);
        using var hello = await SocksClient.ConnectAsync(nodes["c"].Network, "hello.rete", 80);
        var (left, right) = (new Download(), new Download());
        Task[] reading = [near.ReadAsync(await near.GetAsync(Endless), left), hello.ReadAsync(await hello.GetAsync(Endless), right)];
        var (a, d) = (nodes.Storage("a"), nodes.Storage("d"));
        var before = await a.PutAsync(Key("swapped"), Json("before"));
        await Eventually.HoldsAsync("d has it", async () => (await d.GetAsync(Key("swapped")))?.Version == before.Version);
        using var enough = new CancellationTokenSource();
        int[] written = [0, 0];
        Task[] writing = [WriteAsync(a, "left", 0), WriteAsync(d, "right", 1)];

        var restarts = await RestartsOfAllAsync(nodes);
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(nodes.CableOf("b", "c").CutAsync(), nodes.CableOf("a", "e").CutAsync());
        var sides = await Task.WhenAll(new[] { Left, Right }.Select(side => nodes.AgreedAsync(side, side.Contains(whole.Coordinator) ? default : whole)));
        lab.Say($"measured: 2|3: each side has one coordinator {clock.Elapsed.TotalSeconds:0.00} s after the cuts");
        Assert.Contains(sides[0].Epoch.Coordinator, Left);
        Assert.Contains(sides[1].Epoch.Coordinator, Right);
        int[] seen = [.. written];
        await Eventually.HoldsAsync("both sides accept writes", () => written[0] > seen[0] + 10 && written[1] > seen[1] + 10, nodes.Logs);
        foreach (var (from, service) in new[] { ("b", "near"), ("c", "hello") })
        {
            using var again = await SocksClient.ConnectAsync(nodes[from].Network, $"{service}.rete", 80);
            Assert.Equal(1000, (await again.ReadAsync(await again.GetAsync("/bytes/1000"))).Bytes);
        }

        int[] issued = [nodes.Issues("b"), nodes.Issues("d")];
        await Eventually.HoldsAsync("SVIDs are renewed on both sides", () => nodes.Issues("b") > issued[0] && nodes.Issues("d") > issued[1], nodes.Logs);
        foreach (var (side, value) in new[] { (a, "left"), (d, "right") })
        {
            await Eventually.HoldsAsync($"the {value} side swaps", async () =>
            {
                await side.CompareAndSwapAsync(Key("swapped"), before.Version, Json(value));
                return true;
            });
        }

        await enough.CancelAsync();
        await Task.WhenAll(writing);
        clock.Restart();
        await Task.WhenAll(nodes.CableOf("b", "c").MendAsync(), nodes.CableOf("a", "e").MendAsync());
        await nodes.AgreedAsync(Names);
        lab.Say($"measured: 2|3: one coordinator {clock.Elapsed.TotalSeconds:0.00} s after the cables were mended");
        await EqualAsync(nodes);
        lab.Say($"measured: 2|3: five replicas equal {clock.Elapsed.TotalSeconds:0.00} s after the cables were mended, {written[0]} and {written[1]} writes on the sides");
        var current = await a.GetAsync(Key("swapped"));
        Assert.Equal(current!.Version, (await d.GetAsync(Key("swapped")))!.Version);
        var loser = Assert.Single(await d.ConflictsAsync(), static conflict => conflict.Loser.Collection == "notes");
        Assert.Equal(("swapped", current.Version.ToString()), (loser.Loser.Name, loser.Winner.Version));
        Assert.All(reading, static one => Assert.False(one.IsCompleted, $"a download inside a side ended: {one.Exception?.Message}"));
        await MovesAsync(left);
        await MovesAsync(right);
        Assert.Equal(restarts, await RestartsOfAllAsync(nodes));

        async Task WriteAsync(StorageClient storage, string name, int side)
        {
            while (!enough.IsCancellationRequested)
            {
                await storage.PutAsync(Key($"{name}/{written[side] % 100}"), Json($"{written[side]}"));
                written[side]++;
            }
        }
    }

    // Each service, then all of a node at once, then flor of a node in transit.
    private static async Task DeathsAsync(Lab lab, AgentNodes nodes)
    {
        var back = new List<string>();
        foreach (var service in AgentNodes.Services) back.Add($"{service} {(await nodes.KillAsync("c", service)).TotalSeconds:0.0}");
        back.Add($"all four {(await nodes.KillAsync("c", AgentNodes.Services)).TotalSeconds:0.0}");
        using var client = await SocksClient.ConnectAsync(nodes["c"].Network, "near.rete", 80);
        var download = new Download();
        var reading = client.ReadAsync(await client.GetAsync(Endless), download);
        await MovesAsync(download);
        var flor = nodes.KillAsync("b", "flor");
        await MovesAsync(download);
        back.Add($"flor of b, in transit, {(await flor).TotalSeconds:0.0}");
        await MovesAsync(download);
        Assert.False(reading.IsCompleted, $"the download through other nodes ended: {reading.Exception?.Message}");
        lab.Say($"measured: from kill -9 until it is ready again, in seconds: {string.Join(", ", back)}");
        await nodes.ReadyAsync();
        await nodes.AgreedAsync(Names);
        await EqualAsync(nodes);
    }

    // Every service of every node, one after another, and every SVID anew, under load.
    private static async Task RestartsAsync(Lab lab, AgentNodes nodes)
    {
        using var enough = new CancellationTokenSource();
        var answered = 0;
        var asking = Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                using var client = await SocksClient.ConnectAsync(nodes["c"].Network, "near.rete", 80);
                Assert.Equal(10_000, (await client.ReadAsync(await client.GetAsync("/bytes/10000"))).Bytes);
                answered++;
            }
        });
        var (restarts, watch, svids) = (0, Stopwatch.StartNew(), await SvidsAsync());
        foreach (var name in Names)
        {
            foreach (var service in AgentNodes.Services)
            {
                await nodes.RestartAsync(name, service);
                restarts++;
            }
        }

        var restarted = watch.Elapsed;
        await Eventually.HoldsAsync("every SVID of all five nodes has been renewed, and flor has the new one", async () =>
        {
            var now = await SvidsAsync();
            return svids.All(one => now.TryGetValue(one.Key, out var end) && end > one.Value);
        }, nodes.Logs);
        await enough.CancelAsync();
        await asking;
        lab.Say($"measured: {answered} requests answered while {restarts} services were restarted within {restarted.TotalSeconds:0} s and {svids.Count} SVIDs renewed within {watch.Elapsed.TotalSeconds:0} s, none failed");
        await nodes.ReadyAsync();
        await EqualAsync(nodes);

        async Task<Dictionary<string, DateTimeOffset>> SvidsAsync()
        {
            var all = new Dictionary<string, DateTimeOffset>();
            foreach (var name in Names)
            {
                foreach (var one in (await Status.ReadAsync(nodes[name].ControlSocket)).GetProperty("identities").EnumerateArray())
                    all.Add($"{name} {one.GetProperty("name").GetString()}", one.GetProperty("notAfter").GetDateTimeOffset());
            }

            return all;
        }
    }

    private static Task EqualAsync(AgentNodes nodes)
    {
        var replicas = Names.Select(nodes.Storage).ToArray();
        return Eventually.HoldsAsync("five replicas are equal", async () =>
        {
            var digests = await Task.WhenAll(replicas.Select(static replica => replica.DigestAsync()));
            return digests.Select(static digest => (digest.Current, digest.Superseded)).Distinct().Count() == 1;
        }, nodes.Logs);
    }

    private static async Task<string[]> RestartsOfAllAsync(AgentNodes nodes) =>
        [.. (await Task.WhenAll(Names.Select(nodes.WorkloadsAsync))).SelectMany(static of => of.Select(static one => $"{one.Name} {one.ProcessId} {one.Restarts}"))];

    private static async Task MovesAsync(Download download)
    {
        var from = download.Bytes;
        await Eventually.HoldsAsync("bytes move", () => download.Bytes - from > 1_000_000, () => $"{download.Bytes - from} did, {from} had before.");
    }

    private static long ResidentBytes(WorkloadStatus workload)
    {
        var line = File.ReadLines($"/proc/{workload.ProcessId}/status").First(static text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) * 1024;
    }

    private static DocumentKey Key(string name) => new(AgentNodes.Notes, DocumentName.Parse(name));

    private static byte[] Json(string text) => Encoding.UTF8.GetBytes($"\"{text}\"");
}
