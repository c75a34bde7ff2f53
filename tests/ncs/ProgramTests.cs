using System.Net;
using System.Text.Json;
using Florete.Identities;
using Florete.Ncs.Contracts;
using Florete.Ncs.Program;
using Florete.Ncs.Tests.Harness;
using Florete.Portals;
using Florete.Storage.Api.Tests.Harness;
using Florete.Tests;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Florete.Ncs.Tests;

/// <summary>The whole program over portals in memory: asked over the bus, looked at by HTTP, with a vertex that tells the topology.</summary>
public sealed class ProgramTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
    private readonly Mesh mesh = new();

    public void Dispose() => authority.Dispose();

    [Fact]
    public async Task A_request_over_the_bus_is_answered_and_what_was_done_is_seen_by_HTTP()
    {
        await using var vertex = await Portal("node/a").PublishAsync(new FakeVertex(FakeVertex.Of("ab bc cd da")));
        await using var server = await StartAsync();
        using var asker = await AskerAsync();
        var request = new PathRequest { From = "a", To = "c", Avoid = ["b"] };
        var path = Assert.Single((await AskAsync(asker, request)).Paths);
        Assert.Equal(["a", "d", "c"], path.Vertices);
        Assert.Equal(["d"], path.Via);
        Assert.Equal(20, path.MetricMicroseconds);
        Assert.Equal(["abc", "adc"], (await AskAsync(asker, request with { Avoid = [], Count = 2 })).Paths.Select(static p => string.Concat(p.Vertices)).Order());
        Assert.Equal(["a", "d", "c"], (await AskAsync(asker, request with { Avoid = [], DisjointFrom = [["a", "b", "c"]] })).Paths.Single().Vertices);
        var none = await AskAsync(asker, request with { To = "x" });
        Assert.Equal((PathProblem.UnknownVertex, 0), (none.Problem!.Value, none.Paths.Count));
        Assert.Equal(PathProblem.Malformed, (await AskAsync(asker, request with { To = "a" })).Problem);

        using var http = new HttpClient(PortalHttp.CreateHandler(Portal("user/alice")));
        Assert.Equal("""{"ready":true,"missing":[]}""", await http.GetStringAsync("http://ncs.rete/v1/health"));
        using var status = JsonDocument.Parse(await http.GetStringAsync("http://ncs.rete/v1/status"));
        Assert.Equal("""{"malformed":1,"paths":3,"unknownVertex":1}""", JsonSerializer.Serialize(status.RootElement.GetProperty("answers").Deserialize<SortedDictionary<string, int>>()));
        Assert.Equal((4, 4), (status.RootElement.GetProperty("vertices").GetInt32(), status.RootElement.GetProperty("links").GetInt32()));
    }

    [Fact]
    public async Task Without_a_vertex_the_answer_says_what_is_missing_and_once_it_is_there_there_are_paths()
    {
        await using var server = await StartAsync();
        using var asker = await AskerAsync();
        using var http = new HttpClient(PortalHttp.CreateHandler(Portal("user/alice")));
        var request = new PathRequest { From = "a", To = "b" };
        var none = await AskAsync(asker, request);
        Assert.Equal(PathProblem.NoTopology, none.Problem);
        Assert.StartsWith("The vertex of this node does not tell the topology:", none.Text);
        using var health = await http.GetAsync("http://ncs.rete/v1/health");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Contains("does not tell the topology", await health.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        var vertex = await Portal("node/a").PublishAsync(new FakeVertex(FakeVertex.Of("ab")));
        Assert.Empty(Assert.Single((await AskAsync(asker, request)).Paths).Via);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("http://ncs.rete/v1/health")).StatusCode);
        await vertex.DisposeAsync();
        await Eventually.TrueAsync(async () => (await AskAsync(asker, request)).Problem == PathProblem.NoTopology);
    }

    [Fact]
    public async Task The_vertex_is_asked_at_most_once_in_200_ms_and_one_that_is_silent_holds_up_nothing_for_long()
    {
        var vertex = new FakeVertex(FakeVertex.Of("ab"));
        await using var published = await Portal("node/a").PublishAsync(vertex);
        var time = new SetTime();
        await using var source = new TopologySource(Portal("node/a"), time);
        for (var i = 0; i < 5; i++) await source.GetAsync(default);
        Assert.Equal(1, vertex.Asked);
        time.Ticks += TopologySource.MostAge.Ticks - 1;
        await source.GetAsync(default);
        Assert.Equal(1, vertex.Asked);
        time.Ticks += 1;
        await source.GetAsync(default);
        Assert.Equal(2, vertex.Asked);
        vertex.Answers = false;
        time.Ticks += TopologySource.MostAge.Ticks;
        using var over = new CancellationTokenSource();
        var asking = source.GetAsync(over.Token);
        await Eventually.TrueAsync(() => vertex.Asked == 3);
        await over.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
        vertex.Answers = true;
        await source.GetAsync(default);
    }

    [Fact]
    public async Task The_portal_socket_of_something_else_is_named()
    {
        await using var source = new TopologySource(Portal("service/ncs"), TimeProvider.System);
        var refused = await Assert.ThrowsAsync<TopologyException>(() => source.GetAsync(default));
        Assert.Contains("service/ncs", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--node", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_asker_that_is_no_identity_is_told_at_the_start() => Assert.Contains(
        "'bad name' names no identity",
        (await Assert.ThrowsAsync<ArgumentException>(() => NcsServer.StartAsync(Portal("service/ncs"), Portal("node/a"), ["bad name"], static _ => { }))).Message, StringComparison.Ordinal);

    private static async Task<PathAnswer> AskAsync(IHost asker, PathRequest request)
    {
        var client = asker.Services.GetRequiredService<IBus>().CreateRequestClient<PathRequest>(new Uri($"queue:{NcsProtocol.Queue}"), Patience);
        return (await client.GetResponse<PathAnswer>(request)).Message;
    }

    private async Task<IHost> AskerAsync()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddMassTransit(x => x.UsingFlorete((_, cfg) => cfg.Host(Portal("service/coordinator"), static host => host.Peers("ncs"))));
        var host = builder.Build();
        await host.StartAsync();
        return host;
    }

    private Task<NcsServer> StartAsync() => NcsServer.StartAsync(Portal("service/ncs"), Portal("node/a"), ["coordinator", "node/*"], static _ => { });

    private IProgramPortal Portal(string path) => mesh.Portal(authority.Issue(SpiffeId.Parse($"spiffe://home/{path}"), TimeSpan.FromHours(1), DateTimeOffset.UtcNow), "a");

    private sealed class SetTime : TimeProvider
    {
        public long Ticks { get; set; } = 1_000_000_000;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Ticks;
    }
}
