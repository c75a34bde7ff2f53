using Florete.Agent.Configuration;

namespace Florete.Agent.Tests;

public class AgentFileTests
{
    private const string Whole = """
        version: 1
        cluster: home
        node: a
        state: state/agent
        logs: logs
        control: run/agent.sock
        portal: run/agent.portal
        workloads:
          - name: flor
            run: [flor, run, --config, flor.yaml]
            health: {socket: run/flor.sock, every: 500ms, within: 1s, failures: 5}
            stopWithin: 2m
          - name: storage
            run: [./storage, 'two words']
            folder: services
            environment: {LOG: debug, EMPTY_NOT: "0"}
            health: {url: "http://storage.rete/v1/health"}
            restart: onFailure
            startWithin: 5s
        """;

    [Fact]
    public void A_whole_file_is_read()
    {
        var read = AgentFile.Parse(Whole, "/etc/florete/agent.yaml", out var problems);
        Assert.Empty(problems);
        Assert.Equal(("home", "a", "/etc/florete/state/agent", "/etc/florete/run/agent.portal"), (read!.Cluster, read.Node, read.StateFolder, read.PortalSocket));
        var (flor, storage) = (read.Workloads[0], read.Workloads[1]);
        Assert.Equal(("flor", "/etc/florete", TimeSpan.FromMinutes(2), RestartRule.Always), (flor.Program, flor.Folder, flor.StopWithin, flor.Restart));
        Assert.Equal(new HealthConfiguration(null, "/etc/florete/run/flor.sock", TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(1), 5), flor.Health);
        Assert.Equal(["two words"], storage.Arguments);
        Assert.Equal("/etc/florete/services", storage.Folder);
        Assert.Equal("debug", storage.Environment["LOG"]);
        Assert.True(storage.Health!.IsByPortal);
        Assert.Equal((RestartRule.OnFailure, TimeSpan.FromSeconds(5)), (storage.Restart, storage.StartWithin));
    }

    [Theory]
    [InlineData("version: 1", "version: 2", 1, "version", "this program knows 1")]
    [InlineData("cluster: home", "cluster: Home!", 2, "cluster", "no name")]
    [InlineData("node: a", "nod: a", 3, "nod", "node")]
    [InlineData("state: state/agent", "state: []", 4, "state", "single value")]
    [InlineData("name: storage", "name: flor", 9, "workloads", "2 times")]
    [InlineData("run: [flor, run, --config, flor.yaml]", "run: flor", 10, "workloads[0].run", "must be a list")]
    [InlineData("run: [flor, run, --config, flor.yaml]", "run: []", 10, "workloads[0].run", "names no program")]
    [InlineData("every: 500ms", "every: often", 11, "workloads[0].health.every", "no duration")]
    [InlineData("every: 500ms", "every: 0s", 11, "workloads[0].health.every", "not between")]
    [InlineData("socket: run/flor.sock, ", "", 11, "workloads[0].health", "one of url: and socket:")]
    [InlineData("failures: 5", "failures: 0", 11, "workloads[0].health.failures", "not between 1 and 1000")]
    [InlineData("LOG: debug", "FLORETE_AGENT_STATE: x", 16, "workloads[1].environment.FLORETE_AGENT_STATE", "agent's own")]
    [InlineData("http://storage.rete/v1/health", "http://example.org/", 17, "workloads[1].health.url", "neither a name of the mesh nor this machine")]
    [InlineData("portal: run/agent.portal\n", "", 16, "workloads[1].health.url", "portal socket")]
    [InlineData("restart: onFailure", "restart: onfailure", 18, "workloads[1].restart", "onFailure")]
    public void A_mistake_is_told_with_line_field_and_remedy(string was, string now, int line, string field, string remedy)
    {
        Assert.Null(AgentFile.Parse(Whole.Replace(was, now, StringComparison.Ordinal), "agent.yaml", out var problems));
        Assert.Contains(problems, problem => problem.Line == line && problem.Field == field && problem.Message.Contains(remedy, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("version: 1", "version")]
    [InlineData("cluster: home", "cluster")]
    [InlineData("node: a", "node")]
    [InlineData("state: state/agent", "state")]
    [InlineData("logs: logs", "logs")]
    [InlineData("control: run/agent.sock", "control")]
    public void What_is_missing_is_named(string line, string field)
    {
        Assert.Null(AgentFile.Parse(Whole.Replace(line + "\n", "", StringComparison.Ordinal), "agent.yaml", out var problems));
        Assert.Contains(problems, problem => problem.Field == field && problem.Message.Contains("missing", StringComparison.Ordinal));
    }

    [Fact]
    public void Truncated_and_flipped_files_give_problems_and_no_exception()
    {
        var random = new Random(7);
        for (var i = 0; i < 2000; i++)
        {
            var text = Whole.ToCharArray();
            for (var flips = random.Next(4); flips > 0; flips--) text[random.Next(text.Length)] = (char)random.Next(32, 127);
            var read = AgentFile.Parse(new string(text)[..random.Next(text.Length)], "agent.yaml", out var problems);
            Assert.Equal(read is null, problems.Count > 0);
        }
    }
}
