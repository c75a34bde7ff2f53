using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Florete.Coordination.Contracts;
using Florete.EndToEnd.Tests.Harness;
using Florete.Identities;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>
/// Node a joined by token like c and d, is linked with every other, and lies to each: about who is there and what runs where, about what is decided, about who
/// wrote what. Nobody believes it, whoever asks for what is true gets it, and every node tells all of it.
/// </summary>
[Trait("Lane", "2")]
public sealed class HostileNodeTests(ITestOutputHelper output)
{
    private const string Cluster = "e2e", Hostile = "vertex/a";
    private const int Flood = 1000;

    // b is the issuer. a sorts first: of two terms with one counter, its own would be the older.
    private static readonly string[] Honest = ["b", "c", "d"];

    private static readonly AgentPlan Besieged = new()
    {
        Names = [.. Honest, "a"],
        Links = [("b", "c"), ("c", "d"), ("b", "a"), ("c", "a"), ("d", "a")],
        Published = [("d", "hello")],
        Guests = ["a"],
        Users = ["user/alice"],
    };

    [Fact]
    public async Task What_a_node_with_proper_SVIDs_forges_is_refused_by_every_other_and_told_by_every_other()
    {
        await using var lab = await Lab.OpenAsync(output);
        var watch = Stopwatch.StartNew();
        var nodes = await AgentNodes.StartAsync(lab, Besieged);
        await nodes.ReadyAsync();
        await nodes.AgreedAsync(Honest);
        lab.Say($"measured: three nodes are ready and a fourth has joined after {watch.Elapsed.TotalSeconds:0.0} s");
        using var enemy = new HostileNode(nodes["a"], Cluster);
        var key = new DocumentKey(AgentNodes.Notes, DocumentName.Parse("hers"));
        using var alice = new StorageClient(new PortalSocketClient(nodes["b"].PortalOf("alice")));
        await alice.PutAsync(key, "\"true\""u8.ToArray());
        await Eventually.HoldsAsync("all have what alice wrote", async () => (await ReadAsync(nodes, key)).All(static text => text == "\"true\""), nodes.Logs);
        var (programs, published) = (await ProgramsAsync(nodes), await DiscoverAsync(nodes));
        using var enough = new CancellationTokenSource();
        var asking = AskAsync(lab, nodes, enough);
        var began = DateTimeOffset.UtcNow;

        await TellRecordsAsync(lab, nodes, enemy);
        await Eventually.HoldsAsync("all discover what they did before", async () => await DiscoverAsync(nodes) == published);

        nodes["a"].Process = lab.Start("flor of a", nodes["a"].Network, [Programs.Flor, "run", "--config", nodes["a"].ConfigFile], nodes["a"].Folder);
        await DecideAsync(nodes, enemy);
        await WriteAsync(nodes, enemy, key);
        string[] ways = ["staleEpoch:", "notCoordinator:", "notMine:", "outsideBounds:"], authors = ["user/alice", "service/storage", "service/agent"];
        await SeenAsync(nodes, [.. Honest.SelectMany(node =>
            ways.Select(way => new Wanted(node, "refusedDecision", way, "node/a")).Concat(authors.Select(author => new Wanted(node, "refusedDocument", "notes", author))))]);

        await enough.CancelAsync();
        var answered = await asking;
        Assert.Equal(["\"true\"", "\"true\"", "\"true\""], await ReadAsync(nodes, key));
        foreach (var forged in new[] { "swapped", "told", "written" }) Assert.All(await ReadAsync(nodes, new DocumentKey(AgentNodes.Notes, DocumentName.Parse(forged))), static text => Assert.Equal("none", text));
        Assert.Contains((await nodes.AgreedAsync(Honest)).Epoch.Coordinator, Honest);
        Assert.Equal(programs, await ProgramsAsync(nodes));

        // However much it did: of each kind at most nine a minute at each node.
        var minutes = 1 + (int)(DateTimeOffset.UtcNow - began).TotalMinutes;
        var told = (await AuditAsync(nodes, "d")).Where(IsHostiles).ToArray();
        Assert.All(told.CountBy(static e => (e.GetProperty("node").GetString(), e.GetProperty("kind").GetString())), one => Assert.InRange(one.Value, 1, 9 * minutes));
        lab.Say($"measured: a hostile node, {watch.Elapsed.TotalSeconds:0.0} s in all: {answered} requests answered meanwhile, {3 * Flood} forged records of a flood among what it did: {told.Length} lines of the audit are about it");
        foreach (var line in (await FlorctlAsync(nodes, "d")).Split('\n').Where(static line => line.Contains(Hostile, StringComparison.Ordinal))) lab.Say($"audit: {line}");
    }

    /// <summary>In flor's place, linked with each: records that are another's, altered ones, and services that are elsewhere or that it may not hold.</summary>
    private static async Task TellRecordsAsync(Lab lab, AgentNodes nodes, HostileNode enemy)
    {
        const byte vertex = DirectoryForge.OfVertex, service = DirectoryForge.OfService;
        var (d, hello) = (enemy.Id(IdentityKind.Vertex, "d"), enemy.Id(IdentityKind.Service, "hello"));
        // Its own authority makes it whatever it likes.
        var stolen = enemy.Issue(IdentityKind.Service, "hello");
        var members = new Dictionary<string, HostileMember>();
        try
        {
            foreach (var (node, port) in Honest.Zip([7431, 7432, 7433]))
                members.Add(node, await HostileMember.JoinAsync(nodes["a"], node, $"{nodes.CableOf(node, "a").LeftAddress}:7431", port));
            var wanted = new List<Wanted>();
            var lies = new List<(HostileMember To, Func<int, byte[]> Make)>();
            foreach (var (node, member) in members)
            {
                var own = member.Vertex;
                member.Answerable(stolen);
                var other = enemy.Id(IdentityKind.Vertex, node == "b" ? "c" : "b");
                var (trueOther, trueHello) = (await member.HearAsync(other), await member.HearAsync(hello));
                var (life, of) = (DirectoryForge.VersionOf(trueOther), DirectoryForge.VersionOf(trueHello));
                Lie("refusedRecord", $"WrongIdentity: a record of {other}", i => DirectoryForge.Record(vertex, life.Later(i), DirectoryForge.HashOf(DirectoryForge.Chain(own)), other.ToString(), "", DirectoryForge.Lonely, own));
                Lie("refusedRecord", $"Signature: a record of {other}", i => DirectoryForge.Record(vertex, life.Later(i), DirectoryForge.ChainHashOf(trueOther), other.ToString(), "", DirectoryForge.Lonely, own));
                Lie("refusedPublication", $"Signature: a record that {hello} is at {d}", i => DirectoryForge.Record(service, of.Later(i), DirectoryForge.ChainHashOf(trueHello), hello.ToString(), d.ToString(), [], own));
                Lie("refusedPublication", $"Certificate: a record that {hello} is at {d}", i => DirectoryForge.Record(service, of.Later(i), stolen, d.ToString(), []));
                Lie("refusedPublication", $"Bounds: a record that {hello} is at {own.Id}", i => DirectoryForge.Record(service, new(1, (ulong)i), stolen, own.Id.ToString(), []));

                void Lie(string kind, string detail, Func<int, byte[]> make)
                {
                    wanted.Add(new Wanted(node, kind, detail));
                    lies.Add((member, make));
                }
            }

            var round = 1000;
            await SeenAsync(nodes, wanted, async () =>
            {
                // Again each time, later than before: what is lost with a link is said once more.
                round++;
                foreach (var (member, make) in lies) await member.SayAsync(DirectoryForge.Offer(make(round)));
            });
            await Task.WhenAll(members.Values.Select((member, index) => member.SayAsync(Enumerable.Range(5000, Flood).Select(i => DirectoryForge.Offer(lies[(index * 5) + 1].Make(i))))));
        }
        finally
        {
            foreach (var member in members.Values) await member.DisposeAsync();
        }
    }

    /// <summary>As a node that the bounds let coordinate: an old term, another's term, for another vertex, and more than the bounds allow.</summary>
    private static async Task DecideAsync(AgentNodes nodes, HostileNode enemy)
    {
        foreach (var node in Honest)
        {
            var other = node == "b" ? "c" : "b";
            var newest = (await CoordinationReport.ReadAsync(nodes[node].ControlSocket)).Newest!.Value;
            await RefusedAsync(RefusalReasons.StaleEpoch, DecisionDocument.Of(Cluster, node, new Epoch(newest.Counter, "a"), 1, []));
            await RefusedAsync(RefusalReasons.NotCoordinator, DecisionDocument.Of(Cluster, node, newest, 1_000_000, []));
            await RefusedAsync(RefusalReasons.NotMine, DecisionDocument.Of(Cluster, other, new Epoch(newest.Counter + 100, "a"), 1, []));
            await RefusedAsync(RefusalReasons.OutsideBounds, DecisionDocument.Of(Cluster, node, new Epoch(newest.Counter + 100, "a"), 1, [new DecidedPath(other, [new Hop("b", "d")])]));
            Assert.True((await CoordinationReport.ReadAsync(nodes[node].ControlSocket)).Newest!.Value.Counter < newest.Counter + 100);

            async Task RefusedAsync(string reason, DecisionDocument decision)
            {
                string? refused = null;
                await Eventually.HoldsAsync($"{node} answers what a decides", async () =>
                {
                    refused = await enemy.DecideAsync(node, decision);
                    return true;
                }, nodes.Logs);
                Assert.Equal(reason, refused);
            }
        }
    }

    /// <summary>In alice's name with a key of its own, with her proof and another signature, and in its own name without a rule.</summary>
    private static async Task WriteAsync(AgentNodes nodes, HostileNode enemy, DocumentKey key)
    {
        var alice = enemy.Issue(IdentityKind.User, "alice");
        var proof = (await new PortalSocketClient(nodes["b"].PortalOf("alice")).SignAsync(StorageProtocol.SigningPurpose, Array.Empty<byte>())).Chain;
        var (swapped, told, written) = (key with { Name = DocumentName.Parse("swapped") }, key with { Name = DocumentName.Parse("told") }, key with { Name = DocumentName.Parse("written") });
        foreach (var node in Honest)
        {
            await Eventually.HoldsAsync($"the replica of {node} answers a", async () => await enemy.SwapAsync(node, swapped, alice) == HttpStatusCode.Forbidden, nodes.Logs);
            Assert.Equal(HttpStatusCode.Forbidden, await enemy.SwapAsync(node, key, alice));
            Assert.Equal(HttpStatusCode.Forbidden, await enemy.SwapAsync(node, swapped));
            await enemy.TellAsync(node, told, alice.Id, proof);
            Assert.Equal(StorageError.Forbidden, (await Assert.ThrowsAsync<StorageClientException>(() => enemy.WriteAsync(node, written, "agent"))).Error);
        }
    }

    /// <summary>Asks at b for what is at d, over c, again and again; each is answered, unless a link went down meanwhile, as happens where the machine is too busy.</summary>
    private static async Task<int> AskAsync(Lab lab, AgentNodes nodes, CancellationTokenSource enough)
    {
        var answered = 0;
        while (!enough.IsCancellationRequested)
        {
            var downs = await DownsAsync(nodes);
            try
            {
                using var client = await SocksClient.ConnectAsync(nodes["b"].Network, "hello.rete", 80);
                Assert.Equal(10_000, (await client.ReadAsync(await client.GetAsync("/bytes/10000"))).Bytes);
                answered++;
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                if (await DownsAsync(nodes) == downs) throw;
                lab.Say($"A request failed while a link was down: {e.Message}");
            }

            await Task.Delay(10);
        }

        return answered;
    }

    /// <summary>Until the audit of every honest node has all of these, done by a.</summary>
    private static async Task SeenAsync(AgentNodes nodes, IReadOnlyList<Wanted> wanted, Func<Task>? again = null)
    {
        foreach (var at in Honest)
        {
            var lacking = wanted;
            await Eventually.HoldsAsync($"the audit of {at} has all of it", async () =>
            {
                if (again is not null && at == Honest[0]) await again();
                var audit = (await AuditAsync(nodes, at)).Where(IsHostiles).ToArray();
                lacking = [.. wanted.Where(one => !audit.Any(one.Is))];
                return lacking.Count == 0;
            }, () => $"It lacks {string.Join("; ", lacking)}. {nodes.Logs()}");
        }
    }

    private static bool IsHostiles(JsonElement e) => e.TryGetProperty("by", out var by) && by.GetString() == Hostile;

    private static async Task<JsonElement[]> AuditAsync(AgentNodes nodes, string at) =>
        [.. (await FlorctlAsync(nodes, at, "-o", "json")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement)];

    private static async Task<string> FlorctlAsync(AgentNodes nodes, string at, params string[] words) =>
        (await Command.RunAsync(null, [Programs.Florctl, "audit", "--portal", nodes[at].PortalOf("you"), .. words])).Succeeded().Output;

    private static async Task<string[]> ReadAsync(AgentNodes nodes, DocumentKey key) =>
        await Task.WhenAll(Honest.Select(async node => await nodes.Storage(node).GetAsync(key) is { } document ? System.Text.Encoding.UTF8.GetString(document.Body.Span) : "none"));

    private static async Task<string[]> ProgramsAsync(AgentNodes nodes) =>
        [.. (await Task.WhenAll(Honest.Select(nodes.WorkloadsAsync))).SelectMany(static of => of.Select(static one => $"{one.Name} {one.ProcessId} {one.Restarts}"))];

    private static async Task<string> DiscoverAsync(AgentNodes nodes) => string.Join('\n', await Task.WhenAll(Honest.Select(async node =>
        (await Command.RunAsync(null, [Programs.Flor, "discover", "--json", "--control", nodes[node].ControlSocket])).Succeeded().Output)));

    // Of links among the honest.
    private static async Task<long> DownsAsync(AgentNodes nodes) => (await Task.WhenAll(Honest.Select(async node => (await Status.ReadAsync(nodes[node].ControlSocket)).GetProperty("links").EnumerateArray()
        .Where(static link => link.GetProperty("neighbour").GetString() != Hostile).Sum(static link => link.GetProperty("downs").GetInt64())))).Sum();

    /// <summary>An event of the trail.</summary>
    private sealed record Wanted(string Node, string Kind, string Detail, string? Subject = null)
    {
        public bool Is(JsonElement e) =>
            e.GetProperty("node").GetString() == Node && e.GetProperty("kind").GetString() == Kind && e.GetProperty("detail").GetString()!.Contains(Detail, StringComparison.Ordinal)
            && (Subject is null || (e.TryGetProperty("subject", out var subject) && subject.GetString() == Subject));
    }
}
