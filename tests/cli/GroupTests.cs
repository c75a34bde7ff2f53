using System.Diagnostics;
using System.Text.Json;
using Florete.Agent.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Florete.Cli.Tests;

/// <summary>florctl get and florctl status, as the built program prints them.</summary>
public sealed class GroupTests : FlorctlTest
{
    // A line a - b - c, of which c has gone; storage of b does not run.
    private const string Topology = """
        "topology":{"vertices":[
        {"name":"vertex/a","isReachable":true,"started":"2026-01-01T00:00:00+00:00","links":[{"neighbour":"vertex/b","isUp":true,"metricMicroseconds":410,"lossPartsPerMillion":0,"capacityBitsPerSecond":1000000000}],
        "services":["service/identity","service/storage","user/you"],"lacking":[]},
        {"name":"vertex/b","isReachable":true,"started":"2026-01-01T00:00:00+00:00","links":[{"neighbour":"vertex/a","isUp":true,"metricMicroseconds":433,"lossPartsPerMillion":20000}],
        "services":["service/identity"],"lacking":["service/storage"]},
        {"name":"vertex/c","isReachable":false,"links":[{"neighbour":"vertex/b","isUp":false,"metricMicroseconds":500,"lossPartsPerMillion":0},{"neighbour":"vertex/d","isUp":true,"metricMicroseconds":5,"lossPartsPerMillion":0}],
        "services":["service/storage"],"lacking":[]},
        {"name":"vertex/d","isReachable":false,"links":[{"neighbour":"vertex/c","isUp":true,"metricMicroseconds":5,"lossPartsPerMillion":0}],"services":[],"lacking":[]}]}
        """;

    private const string Status = """
        "status":{"node":"vertex/a","cluster":"home","processId":7,"started":"2026-01-01T00:00:00+00:00","boundsVersion":4,
        "identities":[{"name":"user/you","notAfter":"2020-01-01T00:00:00+00:00"},{"name":"vertex/a","notAfter":"2999-01-01T00:00:00+00:00"},{"name":"user/eve","notAfter":"2999-01-01T00:00:00+00:00","revoked":"It was revoked."}],
        "links":[{"neighbour":"vertex/b","state":"up"},{"neighbour":"vertex/x","state":"down","reason":"Nobody answers at 10.0.0.9:7431."}],
        "services":[{"name":"service/storage","vertices":["vertex/a"],"outOfReach":["vertex/c"]},{"name":"service/identity","vertices":["vertex/a","vertex/b"]}],"later":1}
        """;

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public void The_nodes_are_listed_with_what_is_wrong_with_them()
    {
        using var flor = Flor();
        var lines = Run(0, "get", "nodes").Output.Split('\n');
        Assert.Equal(["NODE", "STATE", "LINKS", "SERVICES", "AGE"], Words(lines[0]));
        Assert.Equal(["a", "Ready", "b", "identity,storage,user/you"], Words(lines[1]).Take(4));
        Assert.Equal(["b", "NotReady", "a", "identity"], Words(lines[2]).Take(4));
        Assert.EndsWith("It does not publish service/storage.", lines[2], StringComparison.Ordinal);
        Assert.Equal(["c", "Unreachable", "storage", "No"], Words(lines[3]).Take(4));
        Assert.Contains("No path leads there from a", lines[3], StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', string.Concat(lines));
    }

    [Fact]
    public void The_links_of_the_whole_layer_are_listed_and_those_that_this_node_misses()
    {
        using var flor = Flor();
        var lines = Run(0, "get", "links").Output.Split('\n');
        Assert.Equal("LINK   STATE    COST                LOSS         CAPACITY", lines[0]);
        Assert.Equal("a - b  Up       0.41 ms / 0.433 ms  0.0% / 2.0%  1 Gbit/s / -", lines[1]);
        Assert.StartsWith("a - x  Down", lines[2], StringComparison.Ordinal);
        Assert.EndsWith("Nobody answers at 10.0.0.9:7431.", lines[2], StringComparison.Ordinal);
        Assert.StartsWith("b - c  Down", lines[3], StringComparison.Ordinal);
        Assert.EndsWith("Only c says that it has it.", lines[3], StringComparison.Ordinal);
        Assert.StartsWith("c - d  Unknown", lines[4], StringComparison.Ordinal);
    }

    [Fact]
    public void Services_and_identities_are_listed()
    {
        using var flor = Flor();
        var services = Run(0, "get", "services").Output.Split('\n');
        Assert.Equal(["service/storage", "1", "a", "c"], Words(services[1]));
        Assert.Equal(["service/identity", "2", "a,b"], Words(services[2]));
        var identities = Run(0, "get", "identities").Output.Split('\n');
        Assert.Equal(["user/you", "Expired", "2020-01-01", "00:00:00Z"], Words(identities[1]));
        Assert.Equal(["vertex/a", "Valid"], Words(identities[2]).Take(2));
        Assert.Equal("Revoked", Words(identities[3])[1]);
        Assert.EndsWith("It was revoked.", identities[3], StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_status_says_what_is_wrong_and_what_the_agent_runs()
    {
        using var flor = Flor();
        var without = Run(0, "status").Output;
        Assert.Contains("1/4 ready, 1 not ready, 2 unreachable", without, StringComparison.Ordinal);
        Assert.Contains("no agent answers on this node", without, StringComparison.Ordinal);
        Assert.Contains("A disk is full.", without, StringComparison.Ordinal);
        Assert.Contains("Node b is NotReady: It does not publish service/storage.", without, StringComparison.Ordinal);

        await using var agent = await AgentAsync();
        var with = Run(0, "status").Output;
        Assert.Contains("storage: Failing, 3 restarts", with, StringComparison.Ordinal);
        Assert.Contains("storage on this node is failing: it answers 503 Its log is /logs/storage.log", with, StringComparison.Ordinal);
        var json = JsonDocument.Parse(Run(0, "status", "-o", "json").Output).RootElement;
        Assert.Equal("home", json.GetProperty("cluster").GetString());
        Assert.Equal(4, json.GetProperty("boundsVersion").GetInt64());
        Assert.Equal((4, 1, 1, 2), (Count("known"), Count("ready"), Count("notReady"), Count("unreachable")));
        Assert.Equal("Failing", json.GetProperty("workloads")[1].GetProperty("state").GetString());
        Assert.Equal(5, json.GetProperty("problems").GetArrayLength());

        int Count(string name) => json.GetProperty("nodes").GetProperty(name).GetInt32();
    }

    [Fact]
    public void Who_coordinates_is_shown_where_flor_knows_it()
    {
        using var flor = Flor();
        flor.Answers["status"] = Status.Replace("\"later\":1", "\"coordination\":{\"mode\":\"coordinated\",\"epoch\":{\"counter\":5,\"coordinator\":\"b\"},\"candidates\":[{\"vertex\":\"a\",\"state\":\"candidate\",\"counter\":5},{\"vertex\":\"b\",\"state\":\"coordinator\",\"counter\":5}],\"problem\":\"It cannot be saved.\"}", StringComparison.Ordinal);
        var lines = Run(0, "get", "nodes").Output.Split('\n');
        Assert.Equal("COORDINATION", Words(lines[0])[4]);
        Assert.Equal(["candidate", "coordinator"], new[] { Words(lines[1])[4], Words(lines[2])[4] });
        var status = Run(0, "status").Output;
        Assert.Contains("coordinated, epoch 5 of b", status, StringComparison.Ordinal);
        Assert.Contains("It cannot be saved.", status, StringComparison.Ordinal);
        Assert.Contains("\"coordination\":{\"mode\":\"coordinated\",\"coordinator\":\"b\",\"epoch\":5,\"candidates\":[\"a\",\"b\"]}", Compact(Run(0, "status", "-o", "json").Output), StringComparison.Ordinal);
    }

    [Fact]
    public void As_JSON_the_fields_have_the_names_that_are_documented()
    {
        using var flor = Flor();
        Assert.StartsWith(
            """{"cluster":"home","askedAt":"a","nodes":[{"name":"a","state":"Ready","links":["b"],"services":["service/identity","service/storage","user/you"],"started":"2026-01-01T00:00:00+00:00"},""",
            Compact(Run(0, "get", "nodes", "-o", "json").Output), StringComparison.Ordinal);
        Assert.StartsWith(
            """{"cluster":"home","askedAt":"a","links":[{"ends":["a","b"],"state":"Up","directions":[{"from":"a","to":"b","metricMicroseconds":410,"lossPartsPerMillion":0,"capacityBitsPerSecond":1000000000},{"from":"b","to":"a","metricMicroseconds":433,"lossPartsPerMillion":20000}]},""",
            Compact(Run(0, "get", "links", "--output", "json").Output), StringComparison.Ordinal);
        Assert.Equal(
            """{"cluster":"home","askedAt":"a","services":[{"name":"service/storage","instances":1,"nodes":["a"],"outOfReach":["c"]},{"name":"service/identity","instances":2,"nodes":["a","b"],"outOfReach":[]}]}""",
            Compact(Run(0, "get", "services", "-o", "json").Output));
        Assert.StartsWith(
            """{"cluster":"home","node":"a","identities":[{"name":"user/you","state":"Expired","notAfter":"2020-01-01T00:00:00+00:00"},""",
            Compact(Run(0, "get", "identities", "-o", "json").Output), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_watch_prints_a_line_for_each_change_and_outlives_the_flor_that_it_asks()
    {
        var flor = Flor();
        using var watch = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "florctl"), ["get", "nodes", "-o", "json", "--watch", "--control", At("run/flor.sock")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        try
        {
            Assert.Equal("NotReady", await NextStateOfBAsync());
            // A figure that moves is no change.
            lock (flor.Answers) flor.Answers["topology"] = Topology.Replace("410", "411", StringComparison.Ordinal);
            lock (flor.Answers) flor.Answers["topology"] = Topology.Replace("\"lacking\":[\"service/storage\"]", "\"lacking\":[]", StringComparison.Ordinal);
            Assert.Equal("Ready", await NextStateOfBAsync());
            flor.Dispose();
            Assert.Contains("No flor answers", await watch.StandardError.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)), StringComparison.Ordinal);
            flor = Flor();
            Assert.Equal("NotReady", await NextStateOfBAsync());
        }
        finally
        {
            watch.Kill();
            flor.Dispose();
        }

        async Task<string?> NextStateOfBAsync()
        {
            var line = await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
            return JsonDocument.Parse(line!).RootElement.GetProperty("nodes")[1].GetProperty("state").GetString();
        }
    }

    [Fact]
    public void Who_cannot_be_asked_is_named_with_the_remedy()
    {
        var nobody = Run(1, "get", "nodes").Errors;
        Assert.Contains($"No flor answers at {At("run/flor.sock")}", nobody, StringComparison.Ordinal);
        Assert.Contains("--control", nobody, StringComparison.Ordinal);
        Assert.Contains("yaml", Run(2, "get", "nodes", "-o", "yaml").Errors, StringComparison.Ordinal);
        Assert.Contains("get --help", Run(2, "get", "pods").Errors, StringComparison.Ordinal);

        using var flor = Flor();
        flor.Answers.Remove("topology");
        Assert.Contains("The command is none of status.", Run(1, "get", "links").Errors, StringComparison.Ordinal);
        flor.Answers["topology"] = "\"topology\":7";
        Assert.Contains("Use the florctl of its version", Run(1, "get", "links").Errors, StringComparison.Ordinal);
        flor.Answers["topology"] = "oops";
        Assert.Contains("does not answer as flor does", Run(1, "get", "links").Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void What_others_have_written_cannot_draw_on_the_terminal()
    {
        using var flor = Flor();
        flor.Answers["status"] = Status.Replace("Nobody answers at 10.0.0.9:7431.", "line\\nand \\u001b[31mred", StringComparison.Ordinal);
        var lines = Run(0, "get", "links").Output;
        Assert.DoesNotContain('\u001b', lines);
        Assert.Contains("line and  [31mred", lines, StringComparison.Ordinal);
    }

    private FakeFlor Flor()
    {
        var flor = new FakeFlor(At("run/flor.sock"));
        (flor.Answers["status"], flor.Answers["topology"], flor.Answers["health"]) = (Status, Topology, "\"problems\":[\"A disk is full.\"]");
        return flor;
    }

    private async Task<WebApplication> AgentAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(At("run/agent.sock")));
        var agent = builder.Build();
        WorkloadStatus[] all = [
            new("flor", WorkloadPhase.Ready, "", 11, 0, DateTimeOffset.UnixEpoch, 300, "/logs/flor.log"),
            new("storage", WorkloadPhase.Failing, "it answers 503", 12, 3, DateTimeOffset.UnixEpoch, null, "/logs/storage.log"),
        ];
        agent.MapGet("/v1/workloads", () => TypedResults.Json(all, AgentJson.Default.WorkloadStatusArray));
        await agent.StartAsync();
        return agent;
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static string Compact(string json) => JsonSerializer.Serialize(JsonDocument.Parse(json).RootElement, Relaxed);
}
