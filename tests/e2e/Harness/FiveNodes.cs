using System.Globalization;
using System.Text.Json;
using Florete.Agent.Contracts;
using Florete.Identities;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// a–b–c–d–e in a line, with one more link a–e. a is made by florctl and is the issuer, the others join by token one after another; an agent on each runs flor and
/// every service. service/near is on a, service/hello on e, user/you everywhere. What b and d hold lives for 30 s.
/// </summary>
public sealed class FiveNodes
{
    public static readonly string[] Names = ["a", "b", "c", "d", "e"];
    public static readonly string[] Services = ["identity", "storage", "ncs", "coordinator"];

    private const string Cluster = "e2e";
    private const int Port = 7431;
    private static readonly string[] ShortLived = ["b", "d"];

    private readonly Lab lab;
    private readonly Dictionary<string, Node> nodes = [];
    private readonly Dictionary<(string, string), Cable> cables = [];

    private FiveNodes(Lab lab) => this.lab = lab;

    public static CollectionName Notes { get; } = CollectionName.Parse("notes");

    public Node this[string name] => nodes[name];

    public Cable CableOf(string left, string right) => cables[(left, right)];

    private string OperatorFolder => Path.Combine(lab.Folder, "operator");

    /// <summary>Returns when every agent has been started.</summary>
    public static async Task<FiveNodes> StartAsync(Lab lab)
    {
        ArgumentNullException.ThrowIfNull(lab);
        var made = new FiveNodes(lab);
        foreach (var name in Names) made.nodes.Add(name, new Node(name, await lab.NetworkAsync(name), Path.Combine(lab.Folder, name)));
        foreach (var (left, right) in new[] { ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "e") })
            made.cables.Add((left, right), await lab.CableAsync(made[left].Network, made[right].Network));
        await made.FlorctlAsync("cluster", "init", Cluster, "--dir", made.OperatorFolder);
        var bounds = Path.Combine(made.OperatorFolder, "bounds.yaml");
        await File.WriteAllTextAsync(bounds, Bounds);
        await made.FlorctlAsync("bounds", "sign", bounds, "--dir", made.OperatorFolder);
        await made.FlorctlAsync(
            "node", "add", "a", "--dir", made.OperatorFolder, "--listen", $"0.0.0.0:{Port}", "--services", "root", "--let-join", "--identity", "user/you",
            "--proxy", $"127.0.0.1:{Plan.ProxyPort}=user/you", "--outbound", "near=127.0.0.1:8080", "--out", made["a"].Folder);
        var file = made["a"].ConfigFile;
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("\nportals:\n", "\nportals:\n  - {identity: user/you, socket: run/you.portal, owner: root}\n", StringComparison.Ordinal));
        await made.FlorctlAsync("issuer", "enable", made["a"].Folder, "--dir", made.OperatorFolder);
        lab.Own(new ContentServer(made["a"].Network, 8080));
        lab.Own(new ContentServer(made["e"].Network, 8080));
        made.Run("a");
        await made.JoinAsync("b", ("a", made.CableOf("a", "b").LeftAddress));
        await made.JoinAsync("c", ("b", made.CableOf("b", "c").LeftAddress));
        await made.JoinAsync("d", ("c", made.CableOf("c", "d").LeftAddress));
        await made.JoinAsync("e", ("d", made.CableOf("d", "e").LeftAddress), ("a", made.CableOf("a", "e").LeftAddress));
        return made;
    }

    /// <summary>Until each node of the group says of each that it is ready, and each agent that all its workloads are.</summary>
    public Task ReadyAsync() => Eventually.HoldsAsync("five nodes are ready as each of them sees it", async () =>
    {
        foreach (var name in Names)
        {
            if ((await WorkloadsAsync(name)).Any(static workload => workload.Phase != WorkloadPhase.Ready)) return false;
            var told = (await Command.RunAsync(null, [Programs.Florctl, "get", "nodes", "-o", "json", "--control", this[name].ControlSocket])).Succeeded().Output;
            var states = JsonDocument.Parse(told).RootElement.GetProperty("nodes").EnumerateArray().Select(static node => node.GetProperty("state").GetString()).ToArray();
            if (states.Length != Names.Length || states.Any(static state => state != "Ready")) return false;
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

    public string Logs() => string.Join("\n\n", Names.SelectMany(name => Directory.Exists(Path.Combine(this[name].Folder, "logs")) ? Directory.GetFiles(Path.Combine(this[name].Folder, "logs"), "*.log") : [])
        .Select(static file => $"{file}:\n{string.Join('\n', File.ReadLines(file).TakeLast(15))}"));

    private const string Bounds = $$"""
        version: 2
        cluster: {{Cluster}}
        links:
          - {between: [a, b]}
          - {between: [b, c]}
          - {between: [c, d]}
          - {between: [d, e]}
          - {between: [a, e]}
        hosts:
          - {node: '*', identities: [service/agent, service/identity, service/storage, service/ncs, service/coordinator, user/you]}
          - {node: a, identities: [service/near]}
          - {node: e, identities: [service/hello]}
        coordinate: ['*']
        connect:
          - {from: [user/you], to: ['service/*']}
          - {from: [service/storage, service/identity, service/coordinator], to: [service/storage]}
          - {from: ['node/*', service/identity], to: [service/identity]}
          - {from: [service/coordinator], to: [service/ncs]}
          - {from: [service/ncs], to: [service/coordinator]}
          - {from: [service/agent], to: ['service/*']}
        store:
          - {collection: notes, read: [user/you], write: [user/you]}
          - {collection: paths, read: [service/coordinator, user/you], write: [user/you]}
          - {collection: audit, read: [service/identity, user/you], write: [service/identity]}

        """;

    private Task BackAsync(string node, Dictionary<string, int> gone) => Eventually.HoldsAsync($"{string.Join(", ", gone.Keys)} of {node} are back", async () =>
        (await WorkloadsAsync(node)).Where(workload => gone.ContainsKey(workload.Name)).All(workload => workload.Phase == WorkloadPhase.Ready && workload.ProcessId != gone[workload.Name]), Logs);

    private async Task JoinAsync(string name, params (string Vertex, string Address)[] contacts)
    {
        var node = this[name];
        var via = contacts.SelectMany(static contact => new[] { "--via", $"{contact.Vertex}={contact.Address}:{Port}" });
        var token = await FlorctlAsync(["token", "create", "--dir", OperatorFolder, "--node", name, "--issuer", "a", .. via]);
        string[] outbound = name == "e" ? ["--outbound", "hello=127.0.0.1:8080"] : [];
        _ = (await Command.RunAsync(
            node.Network, [Programs.Agent, "join", token, "--folder", node.Folder, "--let-join", "--portal", "user/you", "--proxy", $"127.0.0.1:{Plan.ProxyPort}=user/you", "--timeout", "90", .. outbound],
            TimeSpan.FromMinutes(3), lab.Folder)).Succeeded();
        if (ShortLived.Contains(name))
        {
            var agent = Path.Combine(node.Folder, "agent.yaml");
            var text = await File.ReadAllTextAsync(agent);
            Assert.Contains("\"--folder\", \".\"", text, StringComparison.Ordinal);
            await File.WriteAllTextAsync(agent, text.Replace("\"--folder\", \".\"", "\"--folder\", \".\", \"--svid-life\", \"30s\"", StringComparison.Ordinal));
            // What the join made lives for a day; florete-identity makes it anew, and flor starts when it has.
            foreach (var file in Directory.GetFiles(Path.Combine(node.Folder, "identities"))) File.Delete(file);
        }

        Run(name);
    }

    private void Run(string name)
    {
        var folders = new[] { Programs.Flor, Programs.Identity, Programs.Storage, Programs.Ncs, Programs.Coordinator }.Select(static program => Path.GetDirectoryName(program)!);
        this[name].Process = lab.Start(
            $"florete-agent of {name}", this[name].Network, [Programs.Agent, "run", "--config", Path.Combine(this[name].Folder, "agent.yaml"), "--exit-with-parent", Environment.ProcessId.ToString(CultureInfo.InvariantCulture)],
            environment: new Dictionary<string, string> { ["PATH"] = $"{string.Join(':', folders)}:{Environment.GetEnvironmentVariable("PATH")}" });
    }

    private async Task<string> FlorctlAsync(params string[] words) => (await Command.RunAsync(null, [Programs.Florctl, .. words], folder: lab.Folder)).Succeeded().Output.Trim();
}
