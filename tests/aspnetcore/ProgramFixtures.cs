using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Proxy.Tests.Harness;

namespace Florete.AspNetCore.Tests;

/// <summary>Where the suite runs: the portals of <c>service/hello</c>, of <c>user/alice</c>, who may call it, and of <c>user/mallory</c>, who may not.</summary>
public abstract class ProgramFixture : IAsyncLifetime
{
    public IProgramPortal Hello { get; protected set; } = null!;

    public IProgramPortal Alice { get; protected set; } = null!;

    public IProgramPortal Mallory { get; protected set; } = null!;

    public abstract Task InitializeAsync();

    public abstract Task DisposeAsync();
}

/// <summary>In this process, over a portal in memory.</summary>
public sealed class InProcess : ProgramFixture
{
    private readonly CertificateAuthority authority = CertificateAuthority.Create(TestNode.Cluster, DateTimeOffset.UtcNow);

    public override Task InitializeAsync()
    {
        var portal = new LoopbackPortal(TestNode.Id("vertex/a"))
        {
            Refuse = static (caller, target) => caller.Name != "mallory" ? null
                : new PortalException(PortalError.Refused, $"no rule lets {caller} connect to {target}"),
        };
        (Hello, Alice, Mallory) = (portal.As(Hold("service/hello")), portal.As(Hold("user/alice")), portal.As(Hold("user/mallory")));
        return Task.CompletedTask;
    }

    public override Task DisposeAsync()
    {
        authority.Dispose();
        return Task.CompletedTask;
    }

    private HeldIdentity Hold(string path) => new(authority.Issue(TestNode.Id(path), TimeSpan.FromHours(1), DateTimeOffset.UtcNow));
}

/// <summary>A node with portal sockets and flor as a process.</summary>
public sealed class OverFlor : ProgramFixture
{
    private FlorProcess? flor;

    internal TestNode Node { get; private set; } = null!;

    public override async Task InitializeAsync()
    {
        Prepare();
        StartFlor();
        // Its sockets are there.
        await Eventually.TrueAsync(async () =>
        {
            await foreach (var _ in Alice.DiscoverAsync(ServiceQuery.All, watch: false)) continue;
            return true;
        });
    }

    /// <summary>The folder and the portals, with flor not running yet.</summary>
    public void Prepare()
    {
        Node = TestNode.Prepare(string.Join('\n', new[] { "service/hello", "user/alice", "user/mallory" }.Select(static id => $"""
              - identity: {id}
                socket: run/{id.Split('/')[1]}.portal
                owner: {Environment.UserName}
            """).Prepend("portals:")));
        Node.Issue("user/mallory");
        Node.SignBounds("- {from: [user/alice], to: ['*']}");
        (Hello, Alice, Mallory) = (Client("hello"), Client("alice"), Client("mallory"));
    }

    public void StartFlor() => flor = new FlorProcess(Node.ConfigFile);

    public void KillFlor()
    {
        flor?.Dispose();
        flor = null;
    }

    public override async Task DisposeAsync()
    {
        KillFlor();
        await Node.DisposeAsync();
    }

    internal string SocketOf(string name) => Path.Combine(Node.Folder, $"run/{name}.portal");

    private PortalSocketClient Client(string name) => new(SocketOf(name));
}

internal static class Eventually
{
    /// <summary>Asks again until the answer is yes; what fails like a portal or a request counts as no.</summary>
    public static async Task TrueAsync(Func<Task<bool>> ask)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                if (await ask()) return;
            }
            catch (Exception e) when (e is PortalException or HttpRequestException && !patience.IsCancellationRequested)
            {
                // Not yet.
            }
            await Task.Delay(20, patience.Token);
        }
    }
}
