using System.Text;
using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Storage.Api.Tests.Harness;

/// <summary>Replicas in this process over a mesh in memory, with real keys and bounds that a test changes. alice reads and writes `notes`, bob reads it, mallory may nothing.</summary>
internal sealed class StorageBed : IAsyncDisposable
{
    public const string Rules = "  - {collection: notes, read: [user/alice, user/bob], write: [user/alice]}\n  - {collection: apps, read: [user/alice], write: [user/alice]}";

    private readonly string folder = Directory.CreateTempSubdirectory("florete-storage-api").FullName;
    private readonly CertificateAuthority authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
    private readonly Dictionary<string, StorageServer> servers = [];
    private readonly List<IDisposable> owned = [];
    private long boundsVersion;

    public StorageBed()
    {
        TrustBundle.Of(authority.Root).Save(Path.Combine(folder, "bundle.pem"));
        SignBounds(Rules);
    }

    public Mesh Mesh { get; } = new();

    public static CollectionName Notes { get; } = CollectionName.Parse("notes");

    public static DocumentKey Key(string name, string unit = "") => new(Notes, DocumentName.Parse(name), UnitName.Parse(unit));

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static string Text(StorageDocument? document) => document is null ? "none" : Encoding.UTF8.GetString(document.Body.Span);

    /// <summary>Ready when it returns.</summary>
    public async Task<StorageServer> StartAsync(string vertex)
    {
        var server = servers[vertex] = await StorageServer.StartAsync(Options(vertex), Portal("service/storage", vertex), static _ => { });
        await Eventually.TrueAsync(() => server.IsReady);
        return server;
    }

    public StorageOptions Options(string vertex) => new()
    {
        Portal = vertex,
        StateFolder = Path.Combine(folder, vertex),
        BundleFile = Path.Combine(folder, "bundle.pem"),
        BoundsFile = Path.Combine(folder, "bounds.signed"),
        PullInterval = TimeSpan.FromMinutes(10),
        Settling = TimeSpan.Zero,
    };

    public async Task StopAsync(string vertex)
    {
        servers.Remove(vertex, out var server);
        await server!.DisposeAsync();
    }

    public IProgramPortal Portal(string path, string vertex) => Mesh.Portal(authority.Issue(SpiffeId.Parse($"spiffe://home/{path}"), TimeSpan.FromHours(1), DateTimeOffset.UtcNow), vertex);

    public StorageClient Client(string user = "alice", string vertex = "a") => Own(new StorageClient(Portal($"user/{user}", vertex)));

    /// <summary>Requests by hand, to the replica of the vertex.</summary>
    public HttpClient Http(string path = "user/alice", string vertex = "a") => Own(new HttpClient(PortalHttp.CreateHandler(Portal(path, vertex))) { BaseAddress = new Uri("http://storage.rete/") });

    public void SignBounds(string store)
    {
        var yaml = $"version: {++boundsVersion}\ncluster: home\nstore:\n{store}\n";
        var signer = authority.Issue(SpiffeId.Parse("spiffe://home/operator/root"), TimeSpan.FromHours(1), DateTimeOffset.UtcNow);
        AtomicFile.Write(Path.Combine(folder, "bounds.signed"), SignedBounds.Sign(yaml, "bounds", signer), AtomicFile.EveryoneReads);
    }

    public static async Task EqualAsync(params StorageClient[] clients) => await Eventually.TrueAsync(async () =>
    {
        var digests = await Task.WhenAll(clients.Select(static c => c.DigestAsync()));
        return digests.Select(static d => (d.Current, d.Superseded)).Distinct().Count() == 1;
    });

    public async ValueTask DisposeAsync()
    {
        foreach (var one in owned) one.Dispose();
        foreach (var server in servers.Values) await server.DisposeAsync();
        authority.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private T Own<T>(T one) where T : IDisposable
    {
        owned.Add(one);
        return one;
    }
}
