using Florete.Hosting;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Inbounds;
using Florete.Proxy.PortalSockets;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>The portal sockets of a node; prepared and applied as <see cref="NodeInbounds"/> are. Not from two threads at once.</summary>
internal sealed partial class NodePortals(NodeMaterials materials, EdgeConnections connections, HandshakeGate gate, ILoggerFactory logs)
    : IAsyncDisposable
{
    private readonly ILogger logger = logs.CreateLogger("Florete.PortalSockets");
    private readonly Dictionary<PortalSocketConfiguration, PortalSocketServer> servers = [];

    public IEnumerable<PortalSocketConfiguration> Served => servers.Keys;

    /// <summary>What was signed for programs, since the start.</summary>
    public SigningCounters Signing { get; } = new();

    /// <summary>What keeps the configuration from being applied.</summary>
    public void Check(FlorConfiguration configuration, List<string> problems)
    {
        foreach (var portal in configuration.Portals)
        {
            var field = $"{configuration.File}:{portal.Line}: portal socket of {portal.Identity.Path}";
            if (materials.Find(portal.Identity) is null)
            {
                problems.Add($"{field}: it is not among the identities in {configuration.IdentitiesFolder}; issue it (florctl identity issue), or remove the portal.");
            }
            else if (materials.Bounds.MayHost(configuration.Vertex, portal.Identity) is { IsAllowed: false } verdict)
            {
                problems.Add($"{field}: {verdict.Refusal}");
            }
            if (OperatingSystem.IsWindows()) problems.Add($"{field}: portal sockets need a Unix system; remove the portal.");
            else if (PrivateSocket.FindUser(portal.Owner) is null) problems.Add($"{field}: there is no user '{portal.Owner}' on this machine; correct owner.");
        }
    }

    /// <exception cref="IOException">A socket cannot be made; the message names it and the remedy. Those before it are served.</exception>
    public async Task ApplyAsync(FlorConfiguration configuration, IPortal portal)
    {
        var wanted = configuration.Portals.Select(portal => portal with { Line = 0 }).ToHashSet();
        foreach (var gone in servers.Keys.Where(served => !wanted.Contains(served)).ToArray())
        {
            servers.Remove(gone, out var server);
            await server!.DisposeAsync().ConfigureAwait(false);
        }
        foreach (var socket in wanted.Where(socket => !servers.ContainsKey(socket)))
        {
            var owner = PrivateSocket.FindUser(socket.Owner) ?? throw new IOException($"There is no user '{socket.Owner}' on this machine; correct owner.");
            var bound = PrivateSocket.Bind(socket.Socket, owner);
            servers.Add(socket, new PortalSocketServer(
                bound, socket.Socket, owner, materials.Find(socket.Identity)!, configuration.Vertex, portal, connections, gate, Signing, logger));
            Serves(socket.Socket, socket.Identity.Path, socket.Owner);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in servers.Values) await server.DisposeAsync().ConfigureAwait(false);
        servers.Clear();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Portal socket {Path} acts as {Identity} for user {Owner}")]
    private partial void Serves(string path, string identity, string owner);
}
