using System.Globalization;
using System.Text.Json;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// a–b–c: a has the root's key and is the issuer, b lets others join, c is a machine with nothing but a token. service/hello is on b, service/far on a;
/// user/carl is on c.
/// </summary>
public sealed class JoinedNodes
{
    public const string Cluster = "e2e";
    private const int Port = 7431;

    private readonly Lab lab;

    private JoinedNodes(Lab lab, Node[] nodes, Cable ab, Cable bc)
    {
        (this.lab, Nodes) = (lab, nodes);
        (AtoB, BtoC) = (ab, bc);
    }

    public IReadOnlyList<Node> Nodes { get; }

    public Node A => Nodes[0];

    public Node B => Nodes[1];

    public Node C => Nodes[2];

    public Cable AtoB { get; }

    public Cable BtoC { get; }

    public string OperatorFolder => Path.Combine(lab.Folder, "operator");

    /// <summary>Makes a and b by florctl, and starts flor and florete-identity on both.</summary>
    /// <param name="lab">The test's.</param>
    /// <param name="identityOptions">Words for florete-identity on every node.</param>
    public static Task<JoinedNodes> StartAsync(Lab lab, params string[] identityOptions) => StartWithPortalsAsync(lab, [], identityOptions);

    /// <summary>The same with more identities that every node holds, and a portal socket for each. Users among them may connect to the storage; user/auditor reads the audit trail.</summary>
    public static async Task<JoinedNodes> StartWithPortalsAsync(Lab lab, IReadOnlyList<string> portals, params string[] identityOptions)
    {
        ArgumentNullException.ThrowIfNull(lab);
        var nodes = new List<Node>();
        foreach (var name in new[] { "a", "b", "c" }) nodes.Add(new Node(name, await lab.NetworkAsync(name), Path.Combine(lab.Folder, name)));
        var made = new JoinedNodes(lab, [.. nodes], await lab.CableAsync(nodes[0].Network, nodes[1].Network), await lab.CableAsync(nodes[1].Network, nodes[2].Network))
        {
            IdentityOptions = identityOptions,
            Portals = portals,
        };
        string[] held = [.. portals.SelectMany(static identity => new[] { "--identity", identity })];
        await made.FlorctlAsync("cluster", "init", Cluster, "--dir", made.OperatorFolder);
        await made.FlorctlAsync([
            "node", "add", "a", "--dir", made.OperatorFolder, "--listen", $"0.0.0.0:{Port}", "--services", "root", "--outbound", "far=127.0.0.1:8080", "--out", made.A.Folder, "--allow", .. held]);
        await made.FlorctlAsync([
            "node", "add", "b", "--dir", made.OperatorFolder, "--listen", $"0.0.0.0:{Port}", "--services", "root", "--let-join", "--outbound", "hello=127.0.0.1:8080",
            "--link", $"a={made.AtoB.LeftAddress}:{Port}", "--out", made.B.Folder, "--allow", .. held]);
        await made.FlorctlAsync("issuer", "enable", made.A.Folder, "--dir", made.OperatorFolder);
        made.Token = await made.TokenAsync("c", ["--identity", "user/carl", "--allow", .. held]);
        var bounds = Path.Combine(made.OperatorFolder, "bounds.yaml");
        var text = await File.ReadAllTextAsync(bounds);
        text = text.Replace("\nconnect:\n", "\nconnect:\n  - {from: [user/carl], to: ['service/*']}\n  - {from: ['user/*'], to: [service/storage]}\n", StringComparison.Ordinal)
            .Replace("{collection: audit, read: [service/identity]", "{collection: audit, read: [service/identity, user/auditor]", StringComparison.Ordinal);
        // What florctl has issued to nobody: each node does it itself.
        text = text.Replace("\nhosts:\n", "\nhosts:\n  - {node: '*', identities: [service/spare]}\n", StringComparison.Ordinal);
        text = string.Join('\n', text.Split('\n').Select(static line => line.StartsWith("version:", StringComparison.Ordinal) ? "version: 100" : line));
        await File.WriteAllTextAsync(bounds, text);
        await made.FlorctlAsync("bounds", "sign", bounds, "--dir", made.OperatorFolder);
        foreach (var node in new[] { made.A, made.B })
        {
            File.Copy(Path.Combine(made.OperatorFolder, "bounds.signed"), node.BoundsFile, overwrite: true);
            made.Run(node);
        }
        return made;
    }

    public IReadOnlyList<string> IdentityOptions { get; private init; } = [];

    /// <summary>Identities that every node holds, each with a portal socket.</summary>
    public IReadOnlyList<string> Portals { get; private init; } = [];

    /// <summary>For node c, by way of b.</summary>
    public string Token { get; private set; } = "";

    /// <summary>florete-identity of the nodes where it runs.</summary>
    public Dictionary<string, ManagedProcess> Identity { get; } = [];

    /// <summary>florete-storage of the nodes where it runs.</summary>
    public Dictionary<string, ManagedProcess> Storage { get; } = [];

    public Task<string> TokenAsync(string node, params string[] words) =>
        FlorctlAsync(["token", "create", "--dir", OperatorFolder, "--node", node, "--via", $"b={BtoC.LeftAddress}:{Port}", "--issuer", "a", .. words]);

    /// <summary>Runs florctl and returns what it printed.</summary>
    public async Task<string> FlorctlAsync(params string[] words) =>
        (await Command.RunAsync(null, [Programs.Florctl, .. words], folder: lab.Folder)).Succeeded().Output.Trim();

    /// <summary>Starts flor and florete-identity of a node.</summary>
    public void Run(Node node)
    {
        ArgumentNullException.ThrowIfNull(node);
        OpenPortals(node);
        node.Process = lab.Start($"flor of {node.Name}", node.Network, [Programs.Flor, "run", "--config", node.ConfigFile], node.Folder);
        Identity[node.Name] = lab.Start(
            $"florete-identity of {node.Name}", node.Network, [Programs.Identity, "run", "--folder", node.Folder, .. IdentityOptions], node.Folder);
    }

    /// <summary>Starts the replica of a node; service/storage must be among <see cref="Portals"/>.</summary>
    public void RunStorage(Node node)
    {
        ArgumentNullException.ThrowIfNull(node);
        Storage[node.Name] = lab.Start(
            $"storage of {node.Name}", node.Network,
            [Programs.Storage, "run", "--portal", node.PortalOf("storage"), "--state", Path.Combine(node.Folder, "state", "storage"), "--bundle", node.BundleFile, "--bounds", node.BoundsFile]);
    }

    /// <summary>florete-agent join on node c.</summary>
    public Task<CommandResult> JoinAsync(string? folder = null, string? token = null, int timeout = 60) => Command.RunAsync(
        C.Network, [Programs.Agent, "join", token ?? Token, "--folder", folder ?? C.Folder, "--timeout", timeout.ToString(CultureInfo.InvariantCulture)],
        TimeSpan.FromSeconds(timeout + 60), lab.Folder);

    /// <summary>Gives node c a proxy for user/carl, and starts it.</summary>
    public async Task RunJoinedAsync()
    {
        await File.AppendAllTextAsync(C.ConfigFile, $"inbounds:\n  - {{proxy: 127.0.0.1:{Plan.ProxyPort}, as: user/carl, sharedByThisMachine: true}}\n");
        Run(C);
    }

    /// <summary>The same, when what c holds is to be issued by florete-identity before flor starts.</summary>
    public async Task RunIdentityFirstAsync()
    {
        var vertex = Path.Combine(C.Folder, "identities", "vertex-c.pem");
        Identity["c"] = lab.Start("florete-identity of c", C.Network, [Programs.Identity, "run", "--folder", C.Folder, .. IdentityOptions], C.Folder);
        await Eventually.HoldsAsync("c has issued its vertex", () => File.Exists(vertex) && File.Exists(Path.Combine(C.Folder, "identities", "user-carl.pem")), Logs);
        await File.AppendAllTextAsync(C.ConfigFile, $"inbounds:\n  - {{proxy: 127.0.0.1:{Plan.ProxyPort}, as: user/carl, sharedByThisMachine: true}}\n");
        OpenPortals(C);
        C.Process = lab.Start("flor of c", C.Network, [Programs.Flor, "run", "--config", C.ConfigFile], C.Folder);
    }

    /// <summary>Until node c opens a connection to a service.</summary>
    public Task ReachableAsync(string service) => Eventually.HoldsAsync(
        $"{service} can be reached from c",
        async () =>
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            using var probe = await SocksClient.ConnectAsync(C.Network, $"{service}.rete", 80, limit.Token);
            return true;
        },
        Logs);

    public string Logs() => string.Join("\n\n", Nodes.Select(node => $"{node.Name}: {node.Process?.Log}")
        .Concat(Identity.Select(one => $"identity of {one.Key}: {one.Value.Log}")).Concat(Storage.Select(one => $"storage of {one.Key}: {one.Value.Log}")));

    // florctl has made one for service/identity already.
    private void OpenPortals(Node node)
    {
        const string Key = "\nportals:\n";
        var text = File.ReadAllText(node.ConfigFile);
        var lines = string.Concat(Portals.Where(identity => !text.Contains($"identity: {identity}\n", StringComparison.Ordinal))
            .Select(static identity => $"  - {{identity: {identity}, socket: run/{identity.Split('/')[1]}.portal, owner: root}}\n"));
        File.WriteAllText(node.ConfigFile, text.Replace(Key, Key + lines, StringComparison.Ordinal));
    }

    /// <summary>What the issuer has written about joins, issues and refusals.</summary>
    public IEnumerable<JsonElement> Events(Node node)
    {
        ArgumentNullException.ThrowIfNull(node);
        return File.ReadLines(Path.Combine(node.Folder, "state", "identity", "events.jsonl")).Select(static line => JsonDocument.Parse(line).RootElement);
    }
}
