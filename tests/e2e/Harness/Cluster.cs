using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// A cluster made by florctl and run by flor, one node per namespace. The first node has the callers' proxy at 127.0.0.1:1080, for user/alice.
/// </summary>
public sealed class Cluster
{
    public const string Name = "e2e";
    public const int Port = 7431;

    private readonly Lab lab;
    private readonly Dictionary<string, Node> nodes = [];
    private readonly Dictionary<(string, string), Cable> cables = [];
    private ContentServer? content;

    private Cluster(Lab lab, Plan plan)
    {
        this.lab = lab;
        Plan = plan;
    }

    public Plan Plan { get; }

    /// <summary>The program behind service/hello.</summary>
    public ContentServer Content => content ?? throw new InvalidOperationException("the plan has no service hello");

    /// <summary>The operator's folder, as `florctl cluster init` wrote it.</summary>
    public string OperatorFolder => Path.Combine(lab.Folder, "operator");

    /// <summary>The nodes at which flor runs, or is to run.</summary>
    public IEnumerable<Node> Nodes => nodes.Values.Where(node => !Plan.Guests.Contains(node.Name));

    /// <summary>The node with the callers' proxy.</summary>
    public Node First => nodes[Plan.Nodes[0]];

    public Node this[string name] => nodes[name];

    /// <summary>Builds and starts it, and waits until every link is up and every service answers.</summary>
    public static async Task<Cluster> StartAsync(Lab lab, Plan plan)
    {
        var cluster = await PrepareAsync(lab, plan);
        await cluster.RunAsync();
        return cluster;
    }

    /// <summary>Makes namespaces, cables and folders; starts nothing.</summary>
    public static async Task<Cluster> PrepareAsync(Lab lab, Plan plan)
    {
        ArgumentNullException.ThrowIfNull(lab);
        ArgumentNullException.ThrowIfNull(plan);
        var cluster = new Cluster(lab, plan);
        foreach (var name in plan.Nodes)
        {
            cluster.nodes[name] = new Node(name, await lab.NetworkAsync(name), Path.Combine(lab.Folder, name));
        }

        foreach (var (left, right) in plan.Links)
        {
            cluster.cables[(left, right)] = await lab.CableAsync(cluster[left].Network, cluster[right].Network, plan.Wires.GetValueOrDefault((left, right)));
        }

        foreach (var (_, node, port) in plan.Services.Where(service => service.Name == "hello"))
        {
            cluster.content = lab.Own(new ContentServer(cluster[node].Network, port));
        }

        await cluster.WriteFoldersAsync();
        return cluster;
    }

    /// <summary>Starts every node, and waits until every link is up and every service answers.</summary>
    public async Task RunAsync()
    {
        foreach (var node in Nodes)
        {
            Run(node);
        }

        await ReadyAsync();
    }

    public Cable CableOf(string left, string right) => cables.TryGetValue((left, right), out var cable) ? cable : cables[(right, left)];

    /// <summary>Starts flor of one node.</summary>
    public void Run(Node node)
    {
        ArgumentNullException.ThrowIfNull(node);
        var environment = Plan.Clocks.TryGetValue(node.Name, out var off) ? FakeTime(off) : null;

        node.Process = lab.Start($"flor of {node.Name}", node.Network, [Programs.Flor, "run", "--config", node.ConfigFile], node.Folder, environment);
    }

    /// <summary>Every link that the plan has is up at both ends, and the first node knows every service.</summary>
    public async Task ReadyAsync()
    {
        foreach (var node in Nodes)
        {
            var wanted = LinksOf(node).Count(link => !Plan.Guests.Contains(link.Left) && !Plan.Guests.Contains(link.Right));
            var seen = "";
            await Eventually.HoldsAsync(
                $"{node.Name} has {wanted} links up",
                async () =>
                {
                    Alive(node);
                    var status = await node.StatusAsync();
                    seen = status.GetRawText();
                    return Status.LinksUp(status) == wanted;
                },
                () => $"flor status said: {seen}\n{node.Process?.Log}");
        }

        foreach (var (name, _, _) in Plan.Services)
        {
            await ReachableAsync(name);
        }
    }

    /// <summary>How often links of all nodes went down since each started.</summary>
    public async Task<long> LinkDownsAsync()
    {
        long downs = 0;
        foreach (var node in Nodes)
        {
            downs += Status.LinkDowns(await node.StatusAsync());
        }

        return downs;
    }

    /// <summary>The first node's proxy opens connections to a service.</summary>
    public Task ReachableAsync(string service) => Eventually.HoldsAsync(
        $"{service} can be reached from {First.Name}",
        async () =>
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            using var probe = await SocksClient.ConnectAsync(First.Network, $"{service}.rete", 80, limit.Token);
            return true;
        },
        () => string.Join("\n\n", Nodes.Select(node => $"{node.Name}: {node.Process?.Log}")));

    /// <summary>Issues everything that the nodes hold anew, with this life. A running flor picks it up.</summary>
    public async Task IssueAsync(TimeSpan life)
    {
        foreach (var node in Nodes)
        {
            foreach (var identity in Identities(node.Name).Prepend($"vertex/{node.Name}"))
            {
                await IssueAsync(node, identity, life);
            }
        }
    }

    /// <summary>Issues one identity into a node's folder; <paramref name="age"/> ago, if given.</summary>
    public async Task IssueAsync(Node node, string identity, TimeSpan life, TimeSpan age = default)
    {
        ArgumentNullException.ThrowIfNull(node);
        _ = (await Command.RunAsync(
            null,
            [Programs.Florctl, "identity", "issue", identity, "--node-dir", node.Folder, "--dir", OperatorFolder, "--life", $"{life.TotalSeconds:0}s"],
            environment: age == default ? null : FakeTime(-age))).Succeeded();
    }

    /// <summary>florctl with these words, in the lab's folder, at the time that the cluster was made.</summary>
    public Task<CommandResult> FlorctlAsync(params string[] words) =>
        Command.RunAsync(null, [Programs.Florctl, .. words], folder: lab.Folder, environment: Plan.Age == default ? null : FakeTime(-Plan.Age));

    private static Dictionary<string, string> FakeTime(TimeSpan off) => new()
    {
        ["LD_PRELOAD"] = Directory.GetDirectories("/usr/lib", "*-linux-*").Select(folder => Path.Combine(folder, "faketime", "libfaketime.so.1")).First(File.Exists),
        ["FAKETIME"] = $"{(off < TimeSpan.Zero ? "-" : "+")}{Math.Abs(off.TotalSeconds):0}s",

        // The monotonic clock stays true: timers run on it, and being wrong about the date does not change it.
        ["FAKETIME_DONT_FAKE_MONOTONIC"] = "1",
    };

    private static void Alive(Node node)
    {
        if (node.Process is { Died: true } dead)
        {
            throw new HopelessException($"flor of {node.Name} ended with {dead.ExitCode}:\n{dead.Log}");
        }
    }

    private async Task WriteFoldersAsync()
    {
        _ = (await FlorctlAsync("cluster", "init", Name, "--dir", OperatorFolder)).Succeeded();
        foreach (var node in nodes.Values)
        {
            var words = new List<string> { "node", "add", node.Name, "--dir", OperatorFolder, "--listen", $"0.0.0.0:{Port}", "--out", node.Folder };
            foreach (var (left, right) in LinksOf(node))
            {
                var other = left == node.Name ? right : left;
                words.AddRange(["--link", Plan.Guests.Contains(other) ? other : $"{other}={CableOf(left, right).AddressOf(this[other].Network)}:{Port}"]);
            }

            foreach (var identity in Identities(node.Name))
            {
                words.AddRange(["--identity", identity]);
            }

            _ = (await FlorctlAsync([.. words])).Succeeded();
            await File.AppendAllTextAsync(node.ConfigFile, Edges(node.Name));
        }

        await SignBoundsAsync(version: 100);
    }

    /// <summary>Writes, signs and hands out the bounds of the plan, with other rules of `connect` if given.</summary>
    public async Task SignBoundsAsync(int version, string? connect = null)
    {
        var file = Path.Combine(lab.Folder, "bounds.yaml");
        var text = new StringBuilder($"version: {version}\ncluster: {Name}\nlinks:\n");
        foreach (var (left, right) in Plan.Links)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  - between: [{left}, {right}]");
        }

        text.AppendLine("hosts:");
        foreach (var node in Plan.Nodes.Where(name => Identities(name).Any()))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  - {{node: {node}, identities: [{string.Join(", ", Identities(node))}]}}");
        }

        text.AppendLine("connect:").AppendLine(connect ?? Plan.ConnectRules ?? "  - {from: [user/alice], to: ['service/*']}");
        if (Plan.StoreRules is { } store)
        {
            text.AppendLine("store:").AppendLine(store);
        }

        if (Plan.Coordinators.Count > 0)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"coordinate: [{string.Join(", ", Plan.Coordinators)}]");
        }

        await File.WriteAllTextAsync(file, text.ToString());
        var signed = Path.Combine(lab.Folder, "bounds.signed");
        _ = (await FlorctlAsync("bounds", "sign", file, "--dir", OperatorFolder, "--out", signed)).Succeeded();
        foreach (var node in Nodes)
        {
            File.Copy(signed, node.BoundsFile, overwrite: true);
        }
    }

    private IEnumerable<(string Left, string Right)> LinksOf(Node node) => Plan.Links.Where(link => link.Left == node.Name || link.Right == node.Name);

    private IEnumerable<string> Identities(string node) =>
        Plan.Services.Where(service => service.Node == node).Select(service => $"service/{service.Name}")
            .Concat(node == Plan.Nodes[0] ? ["user/alice"] : [])
            // A node holds its own identity without being told.
            .Concat(Plan.Portals.Where(portal => portal.Node == node && portal.Identity != $"node/{node}").Select(portal => portal.Identity)).Distinct();

    private string Edges(string node)
    {
        var text = new StringBuilder();
        if (node == Plan.Nodes[0])
        {
            text.AppendLine("inbounds:");
            text.AppendLine(CultureInfo.InvariantCulture, $"  - {{proxy: 127.0.0.1:{Plan.ProxyPort}, as: user/alice, sharedByThisMachine: true}}");
            foreach (var (port, service) in Plan.Forwards)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"  - {{forward: 127.0.0.1:{port}, to: {service}.rete, as: user/alice, sharedByThisMachine: true}}");
            }
        }

        var own = Plan.Services.Where(service => service.Node == node).ToArray();
        if (own.Length > 0)
        {
            text.AppendLine("outbounds:");
            foreach (var (name, _, port) in own)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"  - {{service: {name}, tcp: 127.0.0.1:{port}}}");
            }
        }

        var portals = Plan.Portals.Where(portal => portal.Node == node).ToArray();
        if (portals.Length > 0)
        {
            text.AppendLine("portals:");
            foreach (var (_, identity) in portals)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"  - {{identity: {identity}, socket: run/{identity.Split('/')[1]}.portal, owner: {Environment.UserName}}}");
            }
        }

        return text.ToString();
    }
}

/// <summary>One node of a cluster: its namespace, its folder, its flor.</summary>
public sealed class Node(string name, NetworkNamespace network, string folder)
{
    public string Name { get; } = name;

    public NetworkNamespace Network { get; } = network;

    public string Folder { get; } = folder;

    public string ConfigFile => Path.Combine(Folder, "flor.yaml");

    public string BoundsFile => Path.Combine(Folder, "bounds.signed");

    public string BundleFile => Path.Combine(Folder, "bundle.pem");

    public string ControlSocket => Path.Combine(Folder, "run", "flor.sock");

    /// <summary>The portal socket of an identity, by its name.</summary>
    public string PortalOf(string name) => Path.Combine(Folder, "run", $"{name}.portal");

    /// <summary>flor, when it was started.</summary>
    public ManagedProcess? Process { get; set; }

    /// <summary>What `flor status --json` says.</summary>
    public async Task<JsonElement> StatusAsync()
    {
        var result = (await Command.RunAsync(Network, [Programs.Flor, "status", "--json", "--control", ControlSocket])).Succeeded();
        return JsonDocument.Parse(result.Output).RootElement;
    }
}
