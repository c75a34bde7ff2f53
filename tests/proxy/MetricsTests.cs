using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Florete.Proxy.Control;
using Florete.Proxy.Metrics;
using Florete.Proxy.Tests.Harness;

namespace Florete.Proxy.Tests;

public partial class MetricsTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 21, 8, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task Metrics_and_health_are_served_when_the_configuration_says_where()
    {
        await using var web = await WebServer.StartAsync();
        await using var node = await TestNode.StartAsync(
            "metrics: 127.0.0.1:0\ninbounds:\n  - proxy: 127.0.0.1:0\n    as: user/alice\n    sharedByThisMachine: true\n" + ProxyTests.Outbound("hello", web.Port));
        await Curl.RunAsync("-x", $"socks5h://{node.Inbound}", "http://hello.rete/bytes/5");
        var metrics = await Curl.RunAsync("-w", "%{content_type} %{http_code}", $"http://{node.Node.MetricsEndPoint}/metrics");
        Assert.Contains("text/plain; version=0.0.4; charset=utf-8 200", metrics.Text, StringComparison.Ordinal);
        Assert.Contains("\nflorete_edge_connections_opened_total 2\n", metrics.Text, StringComparison.Ordinal);
        Assert.Contains("florete_node_info{node=\"vertex/a\",cluster=\"home\"} 1\n", metrics.Text, StringComparison.Ordinal);
        var health = await Curl.RunAsync("-w", "%{http_code}", $"http://{node.Node.MetricsEndPoint}/health");
        Assert.Equal("healthy\n200", health.Text);
    }

    [Theory]
    [InlineData("POST /metrics HTTP/1.1\r\n\r\n", 405)]
    [InlineData("GET /etc/passwd HTTP/1.1\r\n\r\n", 404)]
    [InlineData("GET /metrics\r\n\r\n", 400)]
    [InlineData("\r\n\r\n", 400)]
    [InlineData("GET /metrics HTTP/1.1\n\n", 400)]
    [InlineData("GET /metrics?x=y HTTP/1.0\r\n\r\n", 200)]
    public async Task Requests_are_answered_or_refused(string request, int status)
    {
        await using var node = await TestNode.StartAsync("metrics: 127.0.0.1:0\n");
        Assert.StartsWith($"HTTP/1.1 {status} ", await AskAsync(node, Encoding.ASCII.GetBytes(request)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Noise_and_large_heads_are_refused_and_the_next_is_served()
    {
        await using var node = await TestNode.StartAsync("metrics: 127.0.0.1:0\n");
        Assert.StartsWith("HTTP/1.1 400 ", await AskAsync(node, Encoding.ASCII.GetBytes("GET /metrics HTTP/1.1\r\n" + new string('x', 100_000))), StringComparison.Ordinal);
        var random = new Random(3);
        for (var i = 0; i < 50; i++)
        {
            var noise = new byte[random.Next(1, 500)];
            random.NextBytes(noise);
            Assert.DoesNotContain(" 200 ", await AskAsync(node, noise), StringComparison.Ordinal);
        }
        Assert.StartsWith("HTTP/1.1 200 ", await AskAsync(node, "GET /health HTTP/1.1\r\n\r\n"u8.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void The_text_follows_the_format_and_tells_gauges_from_counters()
    {
        var text = PrometheusText.Write(
            Status() with
            {
                Links = [new("vertex/b", "up", null, 1500, 0.25, null, 3, null), new("vertex/\"c\\\n", "down", null, null, 0, null, 0, "no answer")],
                Services = [new("service/x", ["vertex/a", "vertex/b"], ["vertex/c"])],
                Counters = new Dictionary<string, long>
                {
                    ["directory.records"] = 7,
                    ["forwarding.dropped.timeToLive"] = 2,
                    ["forwarding.dropped.malformed"] = 1,
                    ["forwarding.received"] = 5,
                    ["link.accepted"] = 4,
                    ["link.rejected.badKey"] = 6,
                },
            },
            ["something"], new ProcessFigures(1.5, 80_000_000, 9));
        foreach (var line in text.TrimEnd('\n').Split('\n')) Assert.Matches(Line(), line);
        var families = text.Split('\n').Where(static line => line.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(static line => line.Split(' ')[2]).ToArray();
        Assert.Equal(families.Distinct(), families);
        string[] expected =
        [
            "florete_healthy 0", "florete_link_up{neighbour=\"vertex/b\"} 1", "florete_link_up{neighbour=\"vertex/\\\"c\\\\\\n\"} 0", "florete_link_round_trip_seconds{neighbour=\"vertex/b\"} 0.0015",
            "# TYPE florete_directory_records gauge", "florete_directory_records 7", "florete_forwarding_received_total 5", "florete_forwarding_dropped_by_reason_total{reason=\"timeToLive\"} 2",
            "florete_link_rejected_by_reason_total{reason=\"badKey\"} 6", "florete_service_instances{state=\"outOfReach\"} 1", "process_resident_memory_bytes 80000000",
        ];
        foreach (var line in expected) Assert.Contains($"\n{line}\n", "\n" + text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_is_healthy_until_its_links_are_all_down_or_an_SVID_has_expired()
    {
        Assert.Empty(Health.ProblemsOf(Status(), Now));
        LinkReport up = new("vertex/b", "up", null, null, 0, null, 0, null), down = new("vertex/c", "down", null, null, 0, null, 0, "vertex/c does not answer.");
        Assert.Empty(Health.ProblemsOf(Status() with { Links = [up, down] }, Now));
        Assert.Contains("vertex/c does not answer.", Assert.Single(Health.ProblemsOf(Status() with { Links = [down] }, Now)), StringComparison.Ordinal);
        var cutOff = Status() with { Services = [new("service/x", [], ["vertex/b"])] };
        Assert.Contains("see there", Assert.Single(Health.ProblemsOf(cutOff, Now)), StringComparison.Ordinal);
        Assert.Empty(Health.ProblemsOf(cutOff with { Links = [up] }, Now));
        Assert.Contains("florctl identity issue", Assert.Single(Health.ProblemsOf(Status(), Now.AddHours(2))), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_is_asked_over_the_control_socket_too()
    {
        await using var node = await TestNode.StartAsync("");
        await foreach (var answer in ControlClient.AskAsync(node.Node.Configuration.ControlSocket, new ControlRequest(1, "health"), default)) Assert.Empty(answer.Problems!);
    }

    [Fact]
    public async Task An_address_that_is_taken_is_named_at_start()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        taken.Listen();
        await using var node = TestNode.Prepare($"metrics: {taken.LocalEndPoint}\n");
        var problems = (await Assert.ThrowsAsync<StartupException>(node.RunAsync)).Problems;
        Assert.Contains(problems, static problem => problem.Contains("metrics: ", StringComparison.Ordinal));
    }

    [GeneratedRegex("""^(# (HELP [a-z_]+ .+|TYPE [a-z_]+ (gauge|counter))|[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? [0-9.E+-]+)$""")]
    private static partial Regex Line();

    private static StatusReport Status() => new(
        "vertex/a", "home", 1, Now, 1, [new("vertex/a", Now.AddHours(1))], [], [], [], [], [], new ConnectionsReport(0, 0, 0, 0), new Dictionary<string, long>(), []);

    private static async Task<string> AskAsync(TestNode node, byte[] request)
    {
        using var client = await SocksClient.DialAsync(node.Node.MetricsEndPoint!);
        await client.SendAsync(request);
        client.Shutdown(SocketShutdown.Send);
        return Encoding.UTF8.GetString(await SocksClient.ReadToEndAsync(client));
    }
}
