using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>One identity published at two nodes by real programs, and called from a third.</summary>
[Trait("Lane", "2")]
public sealed class InstancesTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    private static Plan Triangle => new()
    {
        Nodes = ["a", "b", "c"],
        Links = [("a", "b"), ("a", "c"), ("b", "c")],
        Portals = [("a", "user/alice"), ("b", "service/hello"), ("c", "service/hello")],
    };

    [Fact]
    public async Task Callers_are_spread_over_instances_of_equal_cost()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (alice, _) = await StartAsync(lab, Triangle);
        // Links that have just come up on a busy machine may seem far, or their instance slow to answer: then it is left alone for a while.
        await Eventually.HoldsAsync("connections are spread", async () =>
        {
            var open = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => alice.ConnectAsync("hello.rete")));
            var shares = open.CountBy(static c => c.RemoteVertex.Name).ToDictionary();
            foreach (var connection in open) await connection.DisposeAsync();
            lab.Say($"measured: 20 connections to two instances of equal cost: {string.Join(", ", shares.Select(static s => $"{s.Value} at {s.Key}"))}");
            return shares.Count == 2 && shares.Values.All(static share => share is >= 5 and <= 15);
        });
    }

    [Fact]
    public async Task The_near_instance_is_preferred_and_when_its_node_is_killed_the_other_one_answers()
    {
        await using var lab = await Lab.OpenAsync(output);
        var (alice, cluster) = await StartAsync(lab, Triangle with
        {
            Wires = new Dictionary<(string, string), Impairment> { [("a", "c")] = new() { Delay = TimeSpan.FromMilliseconds(20) }, [("b", "c")] = new() { Delay = TimeSpan.FromMilliseconds(20) } },
        });
        // The metric has been measured.
        await Eventually.HoldsAsync("callers go to the near instance", async () =>
        {
            for (var i = 0; i < 10; i++)
            {
                if (await AskAsync(alice) != "b") return false;
            }
            return true;
        });
        using var pooled = new HttpClient(PortalHttp.CreateHandler(alice));
        Assert.Equal("Hello spiffe://e2e/user/alice\n", await pooled.GetStringAsync("http://hello.rete/"));
        await cluster["b"].Process!.KillAsync();
        var killed = Stopwatch.StartNew();
        Assert.Equal("c", await AskAsync(alice).WaitAsync(Prompt));
        var first = killed.Elapsed;
        // Its pooled connection leads to the dead node: the request ends, and the next one takes another connection.
        var tries = 0;
        await Eventually.HoldsAsync("the pooled client is answered", async () =>
        {
            tries++;
            return await pooled.GetStringAsync("http://hello.rete/") == "Hello spiffe://e2e/user/alice\n";
        });
        lab.Say($"measured: after kill -9 of the near instance's node a new request was answered in {first.TotalMilliseconds:0} ms, one on a pooled connection in {killed.Elapsed.TotalSeconds:0.0} s (try {tries})");
        Assert.InRange(first, TimeSpan.Zero, TimeSpan.FromSeconds(5));
        Assert.InRange(killed.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));
        cluster.Run(cluster["b"]);
        await Eventually.HoldsAsync("callers go to the near instance again", async () => await AskAsync(alice) == "b");
    }

    private static async Task<(PortalSocketClient Alice, Cluster Cluster)> StartAsync(Lab lab, Plan plan)
    {
        var cluster = await Cluster.StartAsync(lab, plan);
        foreach (var node in new[] { "b", "c" })
            _ = lab.Start($"hello at {node}", null, [Path.Combine(AppContext.BaseDirectory, "hello-server"), cluster[node].PortalOf("hello")]);
        var alice = new PortalSocketClient(cluster["a"].PortalOf("alice"));
        await Eventually.HoldsAsync("both instances are known", async () =>
        {
            var known = new HashSet<SpiffeId>();
            await foreach (var change in alice.DiscoverAsync(ServiceQuery.All, watch: false))
            {
                if (change.Service.Name == "hello") known.Add(change.Vertex);
            }
            return known.Count == 2;
        });
        return (alice, cluster);
    }

    // A request on a connection of its own; the vertex that answered.
    private static async Task<string> AskAsync(PortalSocketClient alice)
    {
        PortalConnection? used = null;
        using var handler = PortalHttp.CreateHandler(alice);
        handler.ConnectCallback = async (context, cancellationToken) =>
            new PortalStream(used = await alice.ConnectAsync(context.DnsEndPoint.Host, cancellationToken: cancellationToken), isAbortedByDispose: true);
        using var http = new HttpClient(handler);
        Assert.Equal("Hello spiffe://e2e/user/alice\n", await http.GetStringAsync("http://hello.rete/"));
        return used!.RemoteVertex.Name;
    }
}
