using System.Net;
using Florete.Identities;
using Florete.Proxy.Configuration;
using Florete.Proxy.Coordination;
using Florete.Runtime;
using Microsoft.Extensions.Logging.Abstractions;
using AnnouncedRevocation = Florete.Layers.AnnouncedRevocation;

namespace Florete.Proxy.Tests.Harness;

/// <summary>A node with real files and sockets on a portal in memory, in a folder of its own.</summary>
internal sealed class TestNode : IAsyncDisposable
{
    public const string Cluster = "home";

    private readonly CertificateAuthority authority = CertificateAuthority.Create(Cluster, DateTimeOffset.UtcNow);
    private long boundsVersion;
    private LoopbackVertex? vertex;

    private TestNode()
    {
        // Short: paths of Unix sockets are limited.
        Folder = Path.Combine("/tmp", $"flor-{Guid.NewGuid().ToString("N")[..8]}");
        Directory.CreateDirectory(Folder);
        authority.Save(Path.Combine(Folder, "bundle.pem"), Path.Combine(Folder, "root.key"));
        foreach (var path in new[] { "vertex/a", "user/alice", "service/hello", "service/down", "service/other" }) Issue(path);
        SignBounds("- {from: ['*'], to: ['*']}");
    }

    public string Folder { get; }

    public FlorNode Node { get; private set; } = null!;

    public LoopbackPortal Portal { get; } = new(Id("vertex/a"));

    /// <summary>What coordination sees of the network; in turns of its loop.</summary>
    public TestNetwork Network => vertex!.Network;

    public string ConfigFile => Path.Combine(Folder, "flor.yaml");

    /// <summary>Of the first inbound.</summary>
    public IPEndPoint Inbound => (IPEndPoint)Node.Inbounds.Listening.First().Local;

    public static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://{Cluster}/{path}");

    /// <param name="sections">Of the configuration, after the keys that every node has.</param>
    public static async Task<TestNode> StartAsync(string sections)
    {
        var test = Prepare(sections);
        await test.RunAsync();
        return test;
    }

    /// <summary>Starts what was prepared.</summary>
    public async Task RunAsync()
    {
        var configuration = ConfigurationFile.Load(ConfigFile, out var problems);
        Assert.True(configuration is not null, string.Join('\n', problems));
        Node = await FlorNode.StartAsync(
            configuration, (_, _) => Task.FromResult<IClusterVertex>(vertex = new LoopbackVertex(Portal)), NullLoggerFactory.Instance, default);
    }

    /// <summary>Stops it; its folder stays, and it can run again.</summary>
    public async Task StopAsync()
    {
        await Node.DisposeAsync();
        Node = null!;
    }

    /// <summary>Writes the folder only.</summary>
    public static TestNode Prepare(string sections)
    {
        var test = new TestNode();
        test.Write(sections);
        return test;
    }

    public void Write(string sections) => File.WriteAllText(ConfigFile, $"""
        version: 1
        cluster: {Cluster}
        vertex: a
        identities: identities
        bundle: bundle.pem
        bounds: bounds.signed
        state: state
        control: run/flor.sock
        {sections}
        """);

    public X509Svid Issue(string path, TimeSpan? lifetime = null)
    {
        var svid = authority.Issue(Id(path), lifetime ?? TimeSpan.FromHours(1), DateTimeOffset.UtcNow);
        SvidFiles.Write(Path.Combine(Folder, "identities"), svid);
        return svid;
    }

    /// <summary>An identity that lives on another node.</summary>
    public HeldIdentity Elsewhere(string path) => new(authority.Issue(Id(path), TimeSpan.FromHours(1), DateTimeOffset.UtcNow));

    public void SignBounds(string connect)
    {
        var yaml = $"""
            version: {++boundsVersion}
            cluster: {Cluster}
            hosts:
              - node: a
                identities: ['service/*', 'user/*']
            connect:
              {connect}
            """;
        var signer = authority.Issue(Id("operator/root"), TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        File.WriteAllText(Path.Combine(Folder, "bounds.signed"), SignedBounds.Sign(yaml, "bounds.yaml", signer));
    }

    public async ValueTask DisposeAsync()
    {
        if (Node is not null) await Node.DisposeAsync();
        authority.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private sealed class LoopbackVertex(LoopbackPortal portal) : IClusterVertex
    {
        // Not the portal's, and not its bytes': but clients are served in its turns, as in a real node.
        private readonly ThreadLoop loop = new("test");

        public Florete.Portals.IPortal Portal => portal;

        public ThreadLoop? Loop => loop;

        public TestNetwork Network => field ??= new TestNetwork(loop, Id("vertex/a"));

        public ICoordinatedNetwork Coordination => Network;

        public Task<VertexReport> ReportAsync(CancellationToken cancellationToken) => loop.RunAsync(() => Task.FromResult(new VertexReport(
            [], [], [], new Dictionary<string, long>(), null,
            [.. Network.Paths.Select(static p => new PathReport($"vertex/{p.To}", [.. p.Via.Select(static hop => hop.ToString())], true, null))])));

        public Task<IReadOnlyList<Florete.Layers.DirectoryMember>> MembersAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<Florete.Layers.DirectoryMember>>([]);

        public Task<IReadOnlyList<TraceHop>> TraceAsync(SpiffeId target, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<TraceHop>>([]);

        public Task<AnnouncedRevocation> AnnounceAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken) =>
            throw new IdentityException("There is no directory here.");

        public Task ApplyAsync(UdpLinksConfiguration? links, CancellationToken cancellationToken) => Task.CompletedTask;

        public ValueTask DisposeAsync() => loop.DisposeAsync();
    }
}
