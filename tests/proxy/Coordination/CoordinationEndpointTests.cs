using System.Buffers;
using System.Text;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Layers;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Proxy.Commands;
using Florete.Proxy.Control;
using Florete.Proxy.Tests.Harness;
using Topology = Florete.Layers.Topology;
using TopologyVertex = Florete.Layers.TopologyVertex;

namespace Florete.Proxy.Tests.Coordination;

/// <summary>A whole flor to which programs and other nodes speak of coordination.</summary>
public class CoordinationEndpointTests
{
    private const string Rules = "coordinate: [a, b, c]\nlinks:\n  - between: [c, b]";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_program_that_attends_is_elected_and_decides_and_all_of_it_shows_in_the_status()
    {
        await using var node = await StartAsync();
        Assert.Equal("uncoordinated", (await StatusAsync(node)).Coordination!.Mode);
        await using var program = new VertexClient(node.Portal.As(Held(node, "node/a")), TestNode.Cluster);
        await using var attendance = await program.AttendAsync("a");
        var view = await NextAsync(attendance, static v => v is not null);
        Assert.Equal(("a", true), (view.Vertex, view.Named));
        await attendance.StandAsync(new Stand(StandState.Candidate, 0));
        await NextAsync(attendance, static v => v.Candidates is [{ Vertex: "a", State: StandState.Candidate }]);
        await attendance.StandAsync(new Stand(StandState.Coordinator, 1));
        await NextAsync(attendance, static v => v.Newest == new Epoch(1, "a") && v.Candidates is [{ State: StandState.Coordinator }]);

        var signer = Held(node, "node/a").Current;
        Assert.Null(await program.DecideAsync("a", CoordinationLab.Sign(signer, CoordinationLab.Decision(new Epoch(1, "a"), 1, "c>b").Encode())));
        var refusal = await program.DecideAsync("a", CoordinationLab.Sign(signer, CoordinationLab.Decision(new Epoch(1, "a"), 2, "b>e").Encode()));
        Assert.Equal((RefusalReasons.OutsideBounds, new Epoch(1, "a")), (refusal!.Reason, refusal.Newest));

        var status = await StatusAsync(node);
        var coordination = status.Coordination!;
        Assert.Equal(("coordinated", new Epoch(1, "a")), (coordination.Mode, coordination.Epoch));
        Assert.Equal("vertex/a", Assert.Single(coordination.Candidates).Vertex);
        Assert.Equal((new Epoch(1, "a"), 1UL, null), (coordination.Decision!.Epoch, coordination.Decision.Number, coordination.Decision.Problem));
        var path = Assert.Single(coordination.Decision.Paths);
        Assert.Equal(("vertex/t0", "c>b", true, null), (path.To, Assert.Single(path.Via), path.InUse, path.Problem));
        Assert.Equal(1, coordination.Refused["outsideBounds"]);
        Assert.Equal((1, 1), (status.Counters["coordination.refused.outsideBounds"], status.Counters["coordination.accepted"]));
        var table = Tables.Status(status);
        Assert.Contains("Coordination: coordinated, epoch 1 (a)", table, StringComparison.Ordinal);
        Assert.Contains("c>b", table, StringComparison.Ordinal);
        var refused = Assert.Single(node.Node.Materials.Security.Events!.After(0), static e => e.Kind == SecurityEventKind.RefusedDecision);
        Assert.Equal("node/a", refused.Subject);
        Assert.Contains("epoch 1 (a)", refused.Reason, StringComparison.Ordinal);
        var metrics = Metrics.PrometheusText.Write(status, [], default);
        Assert.Contains("florete_coordination_refused_by_reason_total{reason=\"outsideBounds\"} 1", metrics, StringComparison.Ordinal);

        await attendance.DisposeAsync();
        await UntilAsync(async () => (await StatusAsync(node)).Coordination!.Mode == "uncoordinated");
    }

    [Fact]
    public async Task A_program_behind_the_portal_socket_of_its_node_attends_and_decides_by_what_flor_signs_for_it()
    {
        await using var node = await StartAsync($"""
            portals:
              - identity: node/a
                socket: run/node.portal
                owner: {Environment.UserName}
            """);
        var portal = new PortalSocketClient(Path.Combine(node.Folder, "run/node.portal"));
        Assert.Equal(TestNode.Id("node/a"), await VertexClient.WhoAmIAsync(portal));
        await using var program = new VertexClient(portal, TestNode.Cluster);
        await using var attendance = await program.AttendAsync("a");
        await attendance.StandAsync(new Stand(StandState.Coordinator, 1));
        await NextAsync(attendance, static v => v.Candidates is [{ State: StandState.Coordinator, Counter: 1 }]);
        var document = CoordinationLab.Decision(new Epoch(1, "a"), 1, "c>b").Encode();
        var signature = await portal.SignAsync(CoordinationProtocol.DecisionPurpose, document);
        Assert.Null(await program.DecideAsync("a", new SignedDecision(document, signature.Bytes.ToArray(), EncodedChain.Encode(signature.Chain))));
        await InTurnAsync(node, static network => Assert.Single(network.Paths));
    }

    [Fact]
    public async Task Who_may_not_ask_is_told_so_and_who_may_not_decide_is_refused_and_counted()
    {
        await using var node = await StartAsync();
        var (c, d) = (node.Elsewhere("node/c"), node.Elsewhere("node/d"));
        await using var other = new VertexClient(node.Portal.As(c), TestNode.Cluster);
        await using var attendance = await other.AttendAsync("a");
        Assert.Contains("Only node/a may ask", (await Assert.ThrowsAsync<CoordinationException>(() => attendance.ReadAsync())).Message, StringComparison.Ordinal);
        Assert.Contains("Only node/a may ask", (await Assert.ThrowsAsync<CoordinationException>(() => other.TopologyAsync("a"))).Message, StringComparison.Ordinal);

        var five = new Epoch(5, "c");
        async Task<string?> DecideAsync(HeldIdentity caller, SignedDecision signed)
        {
            await using var client = new VertexClient(node.Portal.As(caller), TestNode.Cluster);
            return (await client.DecideAsync("a", signed))?.Reason;
        }

        var good = CoordinationLab.Sign(c.Current, CoordinationLab.Decision(five, 7, "c>b").Encode());
        Assert.Equal(RefusalReasons.NotCoordinator, await DecideAsync(d, good));
        Assert.Equal(RefusalReasons.NotCoordinator, await DecideAsync(d, CoordinationLab.Sign(d.Current, CoordinationLab.Decision(new Epoch(9, "d"), 1).Encode())));
        Assert.Equal(RefusalReasons.Unproved, await DecideAsync(c, good with { Signature = new byte[64] }));
        Assert.Equal(RefusalReasons.Unproved, await DecideAsync(c, CoordinationLab.Sign(d.Current, good.Document)));
        Assert.Equal(RefusalReasons.NotMine, await DecideAsync(c, CoordinationLab.Sign(c.Current, DecisionDocument.Of("home", "x", five, 1, []).Encode())));
        Assert.Equal(RefusalReasons.Malformed, await DecideAsync(c, CoordinationLab.Sign(c.Current, "{}"u8.ToArray())));
        Assert.Null(await DecideAsync(c, good));
        Assert.Equal(RefusalReasons.StaleNumber, await DecideAsync(c, CoordinationLab.Sign(c.Current, CoordinationLab.Decision(five, 6).Encode())));
        await InTurnAsync(node, static network => network.Says("b", new Candidacy(CandidacyState.Coordinator, 6)));
        Assert.Equal(RefusalReasons.StaleEpoch, await DecideAsync(c, CoordinationLab.Sign(c.Current, CoordinationLab.Decision(five, 8).Encode())));

        var counters = (await StatusAsync(node)).Counters;
        string[] reasons = ["notCoordinator", "unproved", "notMine", "malformed", "staleNumber", "staleEpoch"];
        Assert.Equal([2L, 2, 1, 1, 1, 1], reasons.Select(reason => counters[$"coordination.refused.{reason}"]));
        await InTurnAsync(node, static network => Assert.Single(network.Paths));
    }

    [Fact]
    public async Task After_a_restart_the_vertex_goes_on_where_it_was()
    {
        await using var node = await StartAsync();
        var c = node.Elsewhere("node/c");
        await using (var client = new VertexClient(node.Portal.As(c), TestNode.Cluster))
        {
            Assert.Null(await client.DecideAsync("a", CoordinationLab.Sign(c.Current, CoordinationLab.Decision(new Epoch(5, "c"), 7, "c>b").Encode())));
        }
        await node.StopAsync();
        await node.RunAsync();
        await InTurnAsync(node, static network => Assert.Equal([CoordinationLab.Path("t0", "c>b")], network.Paths));
        var coordination = (await StatusAsync(node)).Coordination!;
        Assert.Equal((new Epoch(5, "c"), 7UL), (coordination.Epoch, coordination.Decision!.Number));

        await node.StopAsync();
        await File.WriteAllTextAsync(Path.Combine(node.Folder, "state", "coordination"), "garbage");
        Assert.Contains("coordination: it is damaged", (await Assert.ThrowsAsync<StartupException>(node.RunAsync)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_topology_is_told_to_the_nodes_own_program_and_stays_well_formed_whatever_vertices_say()
    {
        await using var node = await StartAsync();
        var (a, b) = (TestNode.Id("vertex/a"), TestNode.Id("vertex/b"));
        await InTurnAsync(node, network => network.Topology = new Topology([
            new TopologyVertex(a, default, [new TopologyAdjacency(b, new Label(16), 410, uint.MaxValue, ulong.MaxValue)]), new TopologyVertex(b, default, [])]));
        await using var program = new VertexClient(node.Portal.As(Held(node, "node/a")), TestNode.Cluster);
        var topology = await program.TopologyAsync("a");
        Assert.Equal(["a", "b"], topology.Vertices.Select(static v => v.Name));
        Assert.Equal(new TopologyLink("b", 410, 1_000_000, ulong.MaxValue), Assert.Single(topology.Vertices[0].Links));

        await InTurnAsync(node, network => network.Topology = new Topology(Enumerable.Range(0, 1500).Select(i => new TopologyVertex(
            TestNode.Id($"vertex/v{i}"), default, [.. Enumerable.Repeat(new TopologyAdjacency(TestNode.Id($"vertex/{new string('n', 60)}"), new Label(16), 410, 0, ulong.MaxValue), 96)]))));
        Assert.Contains("the layer is too large", (await Assert.ThrowsAsync<CoordinationException>(() => program.TopologyAsync("a"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lines_that_are_no_requests_are_answered_with_a_sentence_and_the_next_is_served()
    {
        await using var node = await StartAsync();
        await using var stream = await OpenAsync(node, Held(node, "node/a"));
        string[] lines =
        [
            "", "{}", "[]", "null", "1", "{\"version\":2,\"topology\":true}", "{\"version\":1}", "{\"version\":1,\"topology\":false}", "{\"version\":1,\"topology\":true,\"attend\":true}",
            "{\"version\":1,\"stand\":{\"state\":\"candidate\",\"counter\":0}}", "{\"version\":1,\"stand\":{\"state\":\"king\",\"counter\":1}}", "{\"version\":1,\"stand\":{\"state\":\"coordinator\",\"counter\":-1}}",
            "{\"version\":1,\"decide\":{\"document\":\"?\",\"signature\":\"\",\"chain\":\"\"}}", "{\"version\":1,\"decide\":{}}", new string('[', 5000), "{\"version\":1,\"attend\":\"yes\"}",
        ];
        foreach (var line in lines)
        {
            await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"));
            Assert.True(VertexAnswer.TryRead(await ReadLineAsync(stream), out var answer, out _), line);
            Assert.False(string.IsNullOrEmpty(answer.Error), line);
        }
        await stream.WriteAsync("{\"version\":1,\"later\":[1],\"topology\":true}\n"u8.ToArray());
        Assert.True(VertexAnswer.TryRead(await ReadLineAsync(stream), out var good, out _));
        Assert.NotNull(good.Topology);

        var random = new Random(7);
        var request = "{\"version\":1,\"decide\":{\"document\":\"AAAA\",\"signature\":\"AAAA\",\"chain\":\"AAAA\"}}"u8.ToArray();
        for (var i = 0; i < 300; i++)
        {
            byte[] garbled = [.. request];
            for (var flips = random.Next(1, 4); flips > 0; flips--) garbled[random.Next(garbled.Length)] ^= (byte)(1 << random.Next(8));
            if (garbled.Contains((byte)'\n')) continue;
            await stream.WriteAsync((byte[])[.. garbled, (byte)'\n']);
            Assert.True(VertexAnswer.TryRead(await ReadLineAsync(stream), out _, out _));
        }
    }

    [Fact]
    public async Task A_line_that_does_not_end_is_not_read_for_ever()
    {
        await using var node = await StartAsync();
        await using var stream = await OpenAsync(node, Held(node, "node/a"));
        await stream.WriteAsync(new byte[CoordinationProtocol.MaxRequestLineBytes + 1]);
        Assert.True(VertexAnswer.TryRead(await ReadLineAsync(stream), out var answer, out _));
        Assert.Contains("at most 65536 bytes", answer.Error, StringComparison.Ordinal);
        Assert.Equal(0, await stream.ReadAsync(new byte[1]));
    }

    [Fact]
    public async Task Streams_and_decisions_of_one_caller_are_bounded_and_others_are_served_meanwhile()
    {
        await using var node = await StartAsync();
        var (b, c) = (node.Elsewhere("node/b"), node.Elsewhere("node/c"));
        var open = new List<PortalStream>();
        for (var i = 0; i < 8; i++) open.Add(await OpenAsync(node, c));
        Assert.Equal(PortalError.LimitReached, (await Assert.ThrowsAsync<PortalException>(() => OpenAsync(node, c))).Error);
        await using var another = await OpenAsync(node, b);

        var line = Encoding.UTF8.GetBytes("{\"version\":1,\"decide\":{\"document\":\"AAAA\",\"signature\":\"\",\"chain\":\"\"}}\n");
        var (refused, slowedDown) = (0, 0);
        while (slowedDown == 0)
        {
            await open[0].WriteAsync(line);
            Assert.True(VertexAnswer.TryRead(await ReadLineAsync(open[0]), out var answer, out _));
            if (answer.Refused is { Reason: RefusalReasons.Malformed }) refused++;
            else if (answer.Error is not null) slowedDown++;
        }
        Assert.True(refused >= 20);
        await another.WriteAsync(line);
        Assert.True(VertexAnswer.TryRead(await ReadLineAsync(another), out var served, out _));
        Assert.NotNull(served.Refused);

        foreach (var stream in open) await stream.DisposeAsync();
        // The vertex learns of it a little later.
        await UntilAsync(async () =>
        {
            try
            {
                await (await OpenAsync(node, c)).DisposeAsync();
                return true;
            }
            catch (PortalException e) when (e.Error == PortalError.LimitReached)
            {
                return false;
            }
        });
    }

    [Fact]
    public async Task A_second_program_takes_the_place_of_the_first_whose_stream_is_closed()
    {
        await using var node = await StartAsync();
        await using var client = new VertexClient(node.Portal.As(Held(node, "node/a")), TestNode.Cluster);
        await using var first = await client.AttendAsync("a");
        await NextAsync(first, static _ => true);
        await using var second = await client.AttendAsync("a");
        await NextAsync(second, static _ => true);
        Assert.Contains("Another program attends", (await Assert.ThrowsAsync<CoordinationException>(() => NextAsync(first, static _ => false))).Message, StringComparison.Ordinal);
        await second.StandAsync(new Stand(StandState.Candidate, 0));
        await NextAsync(second, static v => v.Candidates.Count == 1);
    }

    [Fact]
    public async Task The_nodes_identity_is_published_while_the_bounds_name_a_coordinator_and_its_svid_is_held()
    {
        await using var node = TestNode.Prepare("");
        node.SignBounds("- {from: ['*'], to: ['*']}");
        await node.RunAsync();
        Assert.Equal("none", (await StatusAsync(node)).Coordination!.Mode);
        node.SignBounds($"- {{from: ['*'], to: ['*']}}\n{Rules}");
        node.Node.Materials.Refresh();
        await UntilAsync(async () => (await StatusAsync(node)).Coordination!.Problem?.Contains("node/a is not among the identities", StringComparison.Ordinal) == true);
        Assert.Empty(node.Portal.Published);

        node.Issue("node/a");
        node.Node.Materials.Refresh();
        await UntilAsync(() => Task.FromResult(node.Portal.Published.Contains(TestNode.Id("node/a"))));
        Assert.Null((await StatusAsync(node)).Coordination!.Problem);
        await using var client = new VertexClient(node.Portal.As(Held(node, "node/a")), TestNode.Cluster);
        await using var attendance = await client.AttendAsync("a");
        await attendance.StandAsync(new Stand(StandState.Candidate, 0));
        await NextAsync(attendance, static v => v.Candidates.Count == 1);

        node.SignBounds("- {from: ['*'], to: ['*']}");
        node.Node.Materials.Refresh();
        await UntilAsync(() => Task.FromResult(node.Portal.Published.Count == 0));
        await Assert.ThrowsAsync<CoordinationException>(() => NextAsync(attendance, static _ => false));
        await InTurnAsync(node, static network => Assert.Null(network.Said[^1]));
    }

    private static async Task<TestNode> StartAsync(string sections = "")
    {
        var node = TestNode.Prepare(sections);
        node.Issue("node/a");
        node.SignBounds($"- {{from: ['*'], to: ['*']}}\n{Rules}");
        await node.RunAsync();
        await UntilAsync(() => Task.FromResult(node.Portal.Published.Contains(TestNode.Id("node/a"))));
        return node;
    }

    private static HeldIdentity Held(TestNode node, string path) => node.Node.Materials.Find(TestNode.Id(path))!;

    private static async Task<PortalStream> OpenAsync(TestNode node, HeldIdentity caller) =>
        new(await node.Portal.ConnectAsync(caller, TestNode.Id("node/a"), ConnectOptions.Default));

    private static async Task<byte[]> ReadLineAsync(PortalStream stream)
    {
        using var patience = new CancellationTokenSource(Patience);
        var line = new ArrayBufferWriter<byte>();
        var one = new byte[1];
        while (await stream.ReadAsync(one, patience.Token) == 1 && one[0] != '\n') line.Write(one);
        return line.WrittenSpan.ToArray();
    }

    private static async Task<VertexView> NextAsync(Attendance attendance, Func<VertexView, bool> condition)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            if ((await attendance.ReadAsync(patience.Token)).View is { } view && condition(view)) return view;
        }
    }

    private static async Task<StatusReport> StatusAsync(TestNode node)
    {
        await foreach (var answer in ControlClient.AskAsync(node.Node.Configuration.ControlSocket, new ControlRequest(1, "status"), default)) return answer.Status!;
        throw new InvalidOperationException("No answer.");
    }

    private static Task InTurnAsync(TestNode node, Action<TestNetwork> action) => node.Network.Loop.RunAsync(() =>
    {
        action(node.Network);
        return Task.CompletedTask;
    });

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!await condition()) await Task.Delay(10, patience.Token);
    }
}
