using Florete.PortalSocket;
using Florete.Proxy.Tests.Harness;

namespace Florete.Bus.Tests.Flor;

/// <summary>A node with flor as a process, and portal sockets of <c>service/shop</c>, <c>service/store</c> and <c>user/mallory</c>, to whom the bounds allow nothing.</summary>
public sealed class BusNode : IAsyncLifetime
{
    private FlorProcess? flor;
    private TestNode node = null!;

    public string Folder => node.Folder;

    public PortalSocketClient Shop => Client("shop");

    public PortalSocketClient Store => Client("store");

    public PortalSocketClient Mallory => Client("mallory");

    public Task InitializeAsync()
    {
        node = TestNode.Prepare(string.Join('\n', new[] { "service/shop", "service/store", "user/mallory" }.Select(static id => $"""
              - identity: {id}
                socket: run/{id.Split('/')[1]}.portal
                owner: {Environment.UserName}
            """).Prepend("portals:")));
        foreach (var id in new[] { "service/shop", "service/store", "user/mallory" }) node.Issue(id);
        node.SignBounds("- {from: [service/shop], to: [service/store]}\n  - {from: [service/store], to: [service/shop]}");
        StartFlor();
        return Task.CompletedTask;
    }

    public void StartFlor() => flor = new FlorProcess(node.ConfigFile);

    /// <summary>As kill -9.</summary>
    public void KillFlor()
    {
        flor?.Dispose();
        flor = null;
    }

    public async Task DisposeAsync()
    {
        KillFlor();
        await node.DisposeAsync();
    }

    public string SocketOf(string name) => Path.Combine(node.Folder, $"run/{name}.portal");

    private PortalSocketClient Client(string name) => new(SocketOf(name));
}
