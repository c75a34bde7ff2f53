using System.Globalization;
using System.Text.Json;
using Florete.Agent.Contracts;
using Florete.Identities;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// Nodes that joined by token one after another: the first is made by florctl and is the issuer. An agent on each runs flor and every service. user/you is
/// everywhere, with a proxy and a portal socket.
/// </summary>
public sealed class AgentNodes
{
    public static readonly string[] Services = ["identity", "storage", "ncs", "coordinator"];

    private const string Cluster = "e2e";
    private const int Port = 7431;

    private readonly Lab lab;
    private readonly AgentPlan plan;
    private readonly Dictionary<string, Node> nodes = [];
    private readonly Dictionary<(string, string), Cable> cables = [];

    private AgentNodes(Lab lab, AgentPlan plan) => (this.lab, this.plan) = (lab, plan);

    public static CollectionName Notes { get; } = CollectionName.Parse("notes");

    public Node this[string name] => nodes[name];

    public Cable CableOf(string left, string right) => cables[(left, right)];

    private string OperatorFolder => Path.Combine(lab.Folder, "operator");

    private IEnumerable<string> Running => plan.Names.Except(plan.Guests);

    /// <summary>Returns when every agent has been started.</summary>
    public static async Task<AgentNodes> StartAsync(Lab lab, AgentPlan plan)
    {
        ArgumentNullException.ThrowIfNull(lab);
        ArgumentNullException.ThrowIfNull(plan);
        var made = new AgentNodes(lab, plan);
        foreach (var name in plan.Names) made.nodes.Add(name, new Node(name, await lab.NetworkAsync(name), Path.Combine(lab.Folder, name)));
        foreach (var (left, right) in plan.Links) made.cables.Add((left, right), await lab.CableAsync(made[left].Network, made[right].Network));
        await made.FlorctlAsync("cluster", "init", Cluster, "--dir", made.OperatorFolder);
        var bounds = Path.Combine(made.OperatorFolder, "bounds.yaml");
        await File.WriteAllTextAsync(bounds, made.Bounds());
        await made.FlorctlAsync("bounds", "sign", bounds, "--dir", made.OperatorFolder);
        var first = plan.Names[0];
        await made.FlorctlAsync([
            "node", "add", first, "--dir", made.OperatorFolder, "--listen", $"0.0.0.0:{Port}", "--services", "root", "--let-join", "--identity", "user/you", .. plan.Users.SelectMany(static user => new[] { "--identity", user }),
            "--proxy", $"127.0.0.1:{Plan.ProxyPort}=user/you", .. made.Outbounds(first), "--out", made[first].Folder]);
        var file = made[first].ConfigFile;
        var portals = string.Concat(plan.Users.Prepend("user/you").Select(static user => $"  - {{identity: {user}, socket: run/{user.Split('/')[1]}.portal, owner: root}}\n"));
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("\nportals:\n", $"\nportals:\n{portals}", StringComparison.Ordinal));
        await made.FlorctlAsync("issuer", "enable", made[first].Folder, "--dir", made.OperatorFolder);
        foreach (var (node, _) in plan.Published) lab.Own(new ContentServer(made[node].Network, 8080));
        await made.ShortenAsync(first);
        made.Run(first);
        foreach (var name in plan.Names.Skip(1)) await made.JoinAsync(name);
        return made;
    }

    /// <summary>Until each node of the group says of each that it is ready, and each agent that all its workloads are.</summary>
    public Task ReadyAsync() => Eventually.HoldsAsync("all nodes are ready as each of them sees it", async () =>
    {
        foreach (var name in Running)
        {
            if ((await WorkloadsAsync(name)).Any(static workload => workload.Phase != WorkloadPhase.Ready)) return false;
            var told = (await Command.RunAsync(null, [Programs.Florctl, "get", "nodes", "-o", "json", "--control", this[name].ControlSocket])).Succeeded().Output;
            var states = JsonDocument.Parse(told).RootElement.GetProperty("nodes").EnumerateArray().Select(static node => node.GetProperty("state").GetString()).ToArray();
            if (states.Count(static state => state == "Ready") != Running.Count()) return false;
        }

        return true;
    }, Logs, TimeSpan.FromMinutes(3));

    /// <summary>What the agent of a node says of its workloads.</summary>
    public async Task<WorkloadStatus[]> WorkloadsAsync(string name)
    {
        using var agent = new AgentClient(Path.Combine(this[name].Folder, "run", "agent.sock"));
        return await agent.StatusAsync(default);
    }

    /// <summary>Ends workloads of a node as a crash does, all at once; returns when others run in their place and are ready.</summary>
    /// <returns>How long that took.</returns>
    public async Task<TimeSpan> KillAsync(string node, params string[] workloads)
    {
        var killed = (await WorkloadsAsync(node)).Where(workload => workloads.Contains(workload.Name)).ToDictionary(static workload => workload.Name, static workload => workload.ProcessId!.Value);
        Assert.Equal(workloads.Length, killed.Count);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        foreach (var id in killed.Values) Assert.Equal(0, Native.Kill(id, Native.Sigkill));
        await BackAsync(node, killed);
        return watch.Elapsed;
    }

    /// <summary>Has the agent of a node start a workload anew; returns when the new one is ready.</summary>
    public async Task RestartAsync(string node, string workload)
    {
        var before = (await WorkloadsAsync(node)).Single(one => one.Name == workload).ProcessId!.Value;
        using var agent = new AgentClient(Path.Combine(this[node].Folder, "run", "agent.sock"));
        Assert.True(await agent.RestartAsync(workload, default));
        await BackAsync(node, new Dictionary<string, int> { [workload] = before });
    }

    /// <summary>Waits until these nodes have one coordinator (<see cref="CoordinationReport.AgreedAsync"/>).</summary>
    public Task<(Epoch Epoch, TimeSpan Took)> AgreedAsync(string[] group, Epoch above = default) =>
        CoordinationReport.AgreedAsync(group.ToDictionary(static name => name, name => this[name].ControlSocket), above, Logs);

    /// <summary>The replica of a node, as user/you.</summary>
    public StorageClient Storage(string node) => lab.Own(new StorageClient(new PortalSocketClient(this[node].PortalOf("you")), SpiffeId.Parse($"spiffe://{Cluster}/vertex/{node}")));

    /// <summary>SVIDs that the identity service of a node has made.</summary>
    public int Issues(string node) => File.ReadLines(Path.Combine(this[node].Folder, "state", "identity", "events.jsonl")).Count(static line => line.Contains("\"issue\"", StringComparison.Ordinal));

    public string Logs() => string.Join("\n\n", plan.Names.SelectMany(name => Directory.Exists(Path.Combine(this[name].Folder, "logs")) ? Directory.GetFiles(Path.Combine(this[name].Folder, "logs"), "*.log") : [])
        .Select(static file => $"{file}:\n{string.Join('\n', File.ReadLines(file).TakeLast(15))}"));

    private string Bounds() => $$"""
        version: 2
        cluster: {{Cluster}}
        links:
        {{Lines(plan.Links, static link => $"{{between: [{link.Left}, {link.Right}]}}")}}
        hosts:
          - {node: '*', identities: [service/agent, service/identity, service/storage, service/ncs, service/coordinator, user/you]}
        {{Lines(plan.Published, static one => $"{{node: {one.Node}, identities: [service/{one.Service}]}}")}}
        {{Lines(plan.Users, user => $"{{node: {plan.Names[0]}, identities: [{user}]}}")}}
        coordinate: ['*']
        connect:
          - {from: ['user/*'], to: ['service/*']}
          - {from: [service/storage, service/identity, service/coordinator], to: [service/storage]}
          - {from: ['node/*', service/identity], to: [service/identity]}
          - {from: [service/coordinator], to: [service/ncs]}
          - {from: [service/ncs], to: [service/coordinator]}
          - {from: [service/agent], to: ['service/*']}
        store:
          - {collection: notes, read: ['user/*'], write: ['user/*']}
          - {collection: paths, read: [service/coordinator, user/you], write: [user/you]}
          - {collection: audit, read: [service/identity, user/you], write: [service/identity]}

        """;

    private static string Lines<T>(IEnumerable<T> of, Func<T, string> line) => string.Join('\n', of.Select(one => $"  - {line(one)}"));

    private Task BackAsync(string node, Dictionary<string, int> gone) => Eventually.HoldsAsync($"{string.Join(", ", gone.Keys)} of {node} are back", async () =>
        (await WorkloadsAsync(node)).Where(workload => gone.ContainsKey(workload.Name)).All(workload => workload.Phase == WorkloadPhase.Ready && workload.ProcessId != gone[workload.Name]), Logs);

    // By way of all that it has a cable to and that are there.
    private async Task JoinAsync(string name)
    {
        var node = this[name];
        var via = plan.Links.Where(link => link.Right == name).SelectMany(link => new[] { "--via", $"{link.Left}={CableOf(link.Left, name).LeftAddress}:{Port}" });
        var token = await FlorctlAsync(["token", "create", "--dir", OperatorFolder, "--node", name, "--issuer", plan.Names[0], .. via]);
        _ = (await Command.RunAsync(
            node.Network, [Programs.Agent, "join", token, "--folder", node.Folder, "--let-join", "--portal", "user/you", "--proxy", $"127.0.0.1:{Plan.ProxyPort}=user/you", "--timeout", "90", .. Outbounds(name)],
            TimeSpan.FromMinutes(3), lab.Folder)).Succeeded();
        if (plan.Guests.Contains(name)) return;
        await ShortenAsync(name);
        Run(name);
    }

    private async Task ShortenAsync(string name)
    {
        if (!plan.SvidLives.TryGetValue(name, out var life)) return;
        var agent = Path.Combine(this[name].Folder, "agent.yaml");
        var text = await File.ReadAllTextAsync(agent);
        Assert.Contains("\"--folder\", \".\"", text, StringComparison.Ordinal);
        await File.WriteAllTextAsync(agent, text.Replace("\"--folder\", \".\"", $"\"--folder\", \".\", \"--svid-life\", \"{life}\"", StringComparison.Ordinal));
        // What there is lives for a day; florete-identity makes it anew, and flor starts when it has.
        foreach (var file in Directory.GetFiles(Path.Combine(this[name].Folder, "identities"))) File.Delete(file);
    }

    private IEnumerable<string> Outbounds(string name) => plan.Published.Where(one => one.Node == name).SelectMany(static one => new[] { "--outbound", $"{one.Service}=127.0.0.1:8080" });

    private void Run(string name)
    {
        var folders = new[] { Programs.Flor, Programs.Identity, Programs.Storage, Programs.Ncs, Programs.Coordinator }.Select(static program => Path.GetDirectoryName(program)!);
        this[name].Process = lab.Start(
            $"florete-agent of {name}", this[name].Network, [Programs.Agent, "run", "--config", Path.Combine(this[name].Folder, "agent.yaml"), "--exit-with-parent", Environment.ProcessId.ToString(CultureInfo.InvariantCulture)],
            environment: new Dictionary<string, string> { ["PATH"] = $"{string.Join(':', folders)}:{Environment.GetEnvironmentVariable("PATH")}" });
    }

    private async Task<string> FlorctlAsync(params string[] words) => (await Command.RunAsync(null, [Programs.Florctl, .. words], folder: lab.Folder)).Succeeded().Output.Trim();
}

/// <summary>What a test wants of its nodes.</summary>
public sealed record AgentPlan
{
    /// <summary>The first is the issuer; the others join in this order.</summary>
    public required string[] Names { get; init; }

    /// <summary>Pairs that share a cable and may form a link; the left one is there first.</summary>
    public required (string Left, string Right)[] Links { get; init; }

    /// <summary>Nodes with a service, at each of which a content server runs.</summary>
    public required (string Node, string Service)[] Published { get; init; }

    /// <summary>Nodes that join and that no agent is started at.</summary>
    public string[] Guests { get; init; } = [];

    /// <summary>Users that live at the first node, each with a portal socket.</summary>
    public string[] Users { get; init; } = [];

    /// <summary>How long what a node holds lives, as florete-identity is told; a day where it is not.</summary>
    public IReadOnlyDictionary<string, string> SvidLives { get; init; } = new Dictionary<string, string>();
}
