using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Nodes a–b–c in a line, each with flor, florete-storage, and portal sockets of alice, who reads and writes `notes`, and mallory, who may nothing.</summary>
public sealed class StorageLab : IAsyncDisposable
{
    private readonly Lab lab;
    private readonly Dictionary<string, ManagedProcess> replicas = [];
    private readonly List<StorageClient> clients = [];

    private StorageLab(Lab lab, Cluster cluster) => (this.lab, Cluster) = (lab, cluster);

    public static CollectionName Notes { get; } = CollectionName.Parse("notes");

    public Cluster Cluster { get; }

    /// <summary>Nodes run, and the replicas that are named; those are ready when it returns.</summary>
    public static async Task<StorageLab> StartAsync(Lab lab, params string[] replicas)
    {
        string[] nodes = ["a", "b", "c"];
        var cluster = await Cluster.StartAsync(lab, new Plan
        {
            Nodes = nodes,
            Links = [("a", "b"), ("b", "c")],
            Portals = [.. nodes.SelectMany(static node => new[] { (node, "service/storage"), (node, "user/alice"), (node, "user/mallory") })],
            ConnectRules = "  - {from: [service/storage, 'user/*'], to: [service/storage]}",
            StoreRules = "  - {collection: notes, read: [user/alice], write: [user/alice]}",
        });
        var made = new StorageLab(lab, cluster);
        foreach (var node in replicas)
        {
            made.Start(node);
        }

        foreach (var node in replicas)
        {
            await made.ReadyAsync(node, replicas.Length - 1);
        }

        return made;
    }

    public static DocumentKey Key(string name) => new(Notes, DocumentName.Parse(name));

    public static byte[] Json(string text) => System.Text.Encoding.UTF8.GetBytes($"\"{text}\"");

    public static string Text(StorageDocument? document) => document is null ? "none" : System.Text.Encoding.UTF8.GetString(document.Body.Span).Trim('"');

    public void Start(string node)
    {
        var at = Cluster[node];
        replicas[node] = lab.Start($"storage of {node}", at.Network,
            [Programs.Storage, "run", "--portal", at.PortalOf("storage"), "--state", Path.Combine(at.Folder, "state", "storage"), "--bundle", at.BundleFile, "--bounds", at.BoundsFile]);
    }

    public ManagedProcess Replica(string node) => replicas[node];

    /// <summary>The storage as somebody has it on a node; of that node's own replica, unless it says otherwise.</summary>
    public StorageClient Client(string node, string user = "alice", bool nearest = false)
    {
        var client = new StorageClient(new PortalSocketClient(Cluster[node].PortalOf(user)), nearest ? null : Florete.Identities.SpiffeId.Parse($"spiffe://{Cluster.Name}/vertex/{node}"));
        clients.Add(client);
        return client;
    }

    public async Task ReadyAsync(string node, int peers)
    {
        using var client = new StorageClient(new PortalSocketClient(Cluster[node].PortalOf("alice")), Florete.Identities.SpiffeId.Parse($"spiffe://{Cluster.Name}/vertex/{node}"));
        await Eventually.HoldsAsync($"the replica of {node} is ready and compared with {peers} others", async () =>
        {
            if (replicas[node].Died)
            {
                throw new HopelessException($"the storage of {node} ended with {replicas[node].ExitCode}:\n{replicas[node].Log}");
            }

            var health = await client.HealthAsync();
            return health.Ready && health.Peers.Count(static peer => peer.Since is not null && peer.Problem is null) >= peers;
        }, () => replicas[node].Log);
    }

    /// <summary>Waits until the replicas of these nodes hold the same; returns how long it took.</summary>
    public async Task<TimeSpan> EqualAsync(params string[] nodes)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var asked = nodes.Select(node => (Node: node, Client: Client(node))).ToArray();
        var seen = "";
        await Eventually.HoldsAsync($"the replicas of {string.Join(", ", nodes)} are equal", async () =>
        {
            var digests = await Task.WhenAll(asked.Select(static one => one.Client.DigestAsync()));
            seen = string.Join('\n', digests.Select(static digest => digest.ToString()));
            return digests.Select(static digest => (digest.Current, digest.Superseded)).Distinct().Count() == 1;
        }, () => $"{seen}\n{string.Join('\n', replicas.Values.Select(static replica => replica.Log))}");
        return watch.Elapsed;
    }

    public ValueTask DisposeAsync()
    {
        foreach (var client in clients)
        {
            client.Dispose();
        }

        return ValueTask.CompletedTask;
    }
}
