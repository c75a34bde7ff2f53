using System.Net;
using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Control;
using Florete.Proxy.Coordination;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Metrics;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>
/// A running node: what it holds on disk, its vertex, its outbounds and inbounds. Started in this order, and stopped in reverse, so that
/// nobody is served by what is not there.
/// </summary>
internal sealed partial class FlorNode : IAsyncDisposable
{
    private readonly NodeMaterials materials;
    private readonly IClusterVertex vertex;
    private readonly NodeInbounds inbounds;
    private readonly NodeOutbounds outbounds;
    private readonly NodePortals portals;
    private readonly HandshakeGate gate;
    private readonly ILogger logger;
    private readonly SemaphoreSlim reloading = new(1);
    private ControlServer? control;
    private NodeCoordination? coordination;
    private MetricsServer? metrics;

    private FlorNode(
        FlorConfiguration configuration, NodeMaterials materials, IClusterVertex vertex, EdgeConnections connections, HandshakeGate gate,
        NodeInbounds inbounds, NodeOutbounds outbounds, NodePortals portals, ILogger logger)
    {
        (Configuration, this.materials, this.vertex, Connections, this.gate) = (configuration, materials, vertex, connections, gate);
        (this.inbounds, this.outbounds, this.portals, this.logger) = (inbounds, outbounds, portals, logger);
    }

    /// <summary>The configuration in force.</summary>
    public FlorConfiguration Configuration { get; private set; }

    public NodeMaterials Materials => materials;

    public IClusterVertex Vertex => vertex;

    public EdgeConnections Connections { get; }

    public NodeInbounds Inbounds => inbounds;

    public NodeOutbounds Outbounds => outbounds;

    public NodePortals Portals => portals;

    /// <summary>Its part in coordination; null: its vertex cannot be coordinated.</summary>
    public NodeCoordination? Coordination => coordination;

    /// <summary>Clients of inbounds that have not said what they want yet.</summary>
    public HandshakeGate Handshakes => gate;

    /// <summary>Where metrics are served; null: nowhere.</summary>
    public IPEndPoint? MetricsEndPoint => (IPEndPoint?)metrics?.LocalEndPoint;

    public DateTimeOffset Started { get; } = DateTimeOffset.UtcNow;

    /// <exception cref="StartupException">Something is wrong; it lists all that was found.</exception>
    public static async Task<FlorNode> StartAsync(
        FlorConfiguration configuration, VertexFactory makeVertex, ILoggerFactory logs, CancellationToken cancellationToken)
    {
        var logger = logs.CreateLogger("Florete.Node");
        var materials = NodeMaterials.Open(configuration, out var problems, logs.CreateLogger("Florete.Materials"))
            ?? throw new StartupException(problems);
        await using var parts = new Parts();
        parts.Add(materials);
        var connections = new EdgeConnections();
        var gate = parts.Add(new HandshakeGate());
        var inbounds = parts.Add(new NodeInbounds(materials, connections, gate, logs));
        var portals = parts.Add(new NodePortals(materials, connections, gate, logs));
        var outbounds = parts.Add(new NodeOutbounds(materials, connections, logs));
        var found = Check(configuration, materials);
        outbounds.Check(configuration, found);
        portals.Check(configuration, found);
        var prepared = inbounds.Prepare(configuration, found);
        var remembered = OpenCoordination(configuration, materials, found);
        var controlSocket = BindControl(configuration, found);
        var metricsSocket = BindMetrics(configuration, found);
        try
        {
            if (found.Count > 0) throw new StartupException(found);
            var identity = materials.Find(configuration.Vertex)!;
            var vertex = parts.Add(await makeVertex(new VertexParts(configuration, identity, materials, logs), cancellationToken).ConfigureAwait(false));
            await outbounds.ApplyAsync(configuration, vertex.Portal, cancellationToken).ConfigureAwait(false);
            await portals.ApplyAsync(configuration, vertex.Portal).ConfigureAwait(false);
            await inbounds.ApplyAsync(prepared, vertex.Portal, vertex.Loop).ConfigureAwait(false);
            var node = new FlorNode(configuration, materials, vertex, connections, gate, inbounds, outbounds, portals, logger);
            if (vertex.Coordination is { } network)
            {
                node.coordination = parts.Add(await NodeCoordination.StartAsync(
                    configuration.Vertex, materials, remembered!, network, vertex.Portal, TimeProvider.System, logs.CreateLogger("Florete.Coordination")).ConfigureAwait(false));
            }
            var commands = new ControlCommands(node);
            node.control = new ControlServer(configuration.ControlSocket, controlSocket!, commands, logs.CreateLogger("Florete.Control"));
            if (metricsSocket is not null) node.metrics = new MetricsServer(metricsSocket, gate, commands.StatusAsync, logs.CreateLogger("Florete.Metrics"));
            parts.Release();
            node.Runs(configuration.Vertex);
            return node;
        }
        catch (Exception e)
        {
            prepared.Discard();
            controlSocket?.Dispose();
            metricsSocket?.Dispose();
            if (e is PortalException or ArgumentException or IOException or UnauthorizedAccessException or SocketException or System.ComponentModel.Win32Exception)
            {
                throw new StartupException([$"{configuration.File}: {e.Message}"]);
            }
            throw;
        }
    }

    /// <summary>Reads the configuration and all files again and applies what has changed; when something is wrong, nothing of the configuration.</summary>
    /// <returns>What is wrong, each with its place and remedy; empty: it is in force.</returns>
    public async Task<IReadOnlyList<string>> ReloadAsync(CancellationToken cancellationToken)
    {
        await reloading.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var problems = await ApplyAsync(cancellationToken).ConfigureAwait(false);
            if (problems.Count > 0) ReloadFailed(string.Join(Environment.NewLine, problems));
            else Reloaded(Configuration.File);
            return problems;
        }
        finally
        {
            reloading.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (metrics is not null) await metrics.DisposeAsync().ConfigureAwait(false);
        if (control is not null) await control.DisposeAsync().ConfigureAwait(false);
        if (coordination is not null) await coordination.DisposeAsync().ConfigureAwait(false);
        await inbounds.DisposeAsync().ConfigureAwait(false);
        await portals.DisposeAsync().ConfigureAwait(false);
        await outbounds.DisposeAsync().ConfigureAwait(false);
        await vertex.DisposeAsync().ConfigureAwait(false);
        await materials.DisposeAsync().ConfigureAwait(false);
        await gate.DisposeAsync().ConfigureAwait(false);
        reloading.Dispose();
        Stopped();
    }

    /// <summary>What neither inbounds nor outbounds check.</summary>
    internal static List<string> Check(FlorConfiguration configuration, NodeMaterials materials)
    {
        var problems = new List<string>();
        if (materials.Find(configuration.Vertex) is not { } vertex)
        {
            problems.Add($"{configuration.File}: vertex: {configuration.Vertex.Path} is not among the identities in {configuration.IdentitiesFolder}; issue it (florctl identity issue), or correct vertex.");
        }
        else if (vertex.Current.NotAfter < DateTimeOffset.UtcNow)
        {
            problems.Add($"{configuration.IdentitiesFolder}: the SVID of {configuration.Vertex.Path} has expired at {vertex.Current.NotAfter:u}; issue a new one (florctl identity issue), and look at the clock of this machine.");
        }
        return problems;
    }

    private static Socket? BindControl(FlorConfiguration configuration, List<string> problems)
    {
        try
        {
            return ControlServer.Bind(configuration.ControlSocket);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{configuration.File}: control: {e.Message}");
            return null;
        }
    }

    private static CoordinationFile? OpenCoordination(FlorConfiguration configuration, NodeMaterials materials, List<string> problems)
    {
        try
        {
            return CoordinationFile.Open(configuration.StateFolder, materials.Cluster);
        }
        catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
        {
            problems.Add(e.Message);
            return null;
        }
    }

    private static Socket? BindMetrics(FlorConfiguration configuration, List<string> problems)
    {
        try
        {
            return configuration.Metrics is { } address ? Listener.Bind(address) : null;
        }
        catch (SocketException e)
        {
            problems.Add($"{configuration.File}: metrics: {configuration.Metrics}: {e.Message}; use a port that nobody uses.");
            return null;
        }
    }

    private async Task<IReadOnlyList<string>> ApplyAsync(CancellationToken cancellationToken)
    {
        var wanted = ConfigurationFile.Load(Configuration.File, out var problems);
        if (wanted is null) return [.. problems.Select(problem => problem.ToString())];
        materials.Refresh();
        var found = Check(wanted, materials);
        found.AddRange(Fixed(wanted));
        outbounds.Check(wanted, found);
        portals.Check(wanted, found);
        var prepared = inbounds.Prepare(wanted, found);
        if (found.Count > 0)
        {
            prepared.Discard();
            return found;
        }
        try
        {
            await vertex.ApplyAsync(wanted.Udp, cancellationToken).ConfigureAwait(false);
            await outbounds.ApplyAsync(wanted, vertex.Portal, cancellationToken).ConfigureAwait(false);
            await portals.ApplyAsync(wanted, vertex.Portal).ConfigureAwait(false);
        }
        catch (Exception e) when (e is PortalException or ArgumentException or IOException)
        {
            prepared.Discard();
            return [$"{wanted.File}: {e.Message}"];
        }
        await inbounds.ApplyAsync(prepared, vertex.Portal, vertex.Loop).ConfigureAwait(false);
        Configuration = wanted;
        return [];
    }

    // What a running vertex is built on.
    private IEnumerable<string> Fixed(FlorConfiguration wanted)
    {
        var (now, then) = (Configuration, wanted);
        foreach (var (field, isSame) in new[]
        {
            ("cluster", now.Cluster == then.Cluster),
            ("vertex", now.Vertex == then.Vertex),
            ("identities", now.IdentitiesFolder == then.IdentitiesFolder),
            ("bundle", now.BundleFile == then.BundleFile),
            ("bounds", now.BoundsFile == then.BoundsFile),
            ("state", now.StateFolder == then.StateFolder),
            ("control", now.ControlSocket == then.ControlSocket),
            ("metrics", Equals(now.Metrics, then.Metrics)),
            ("links.udp.listen", Equals(now.Udp?.Listen, then.Udp?.Listen)),
        })
        {
            if (!isSame) yield return $"{wanted.File}: {field}: it cannot change while flor runs; restart flor, or restore it.";
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vertex} runs")]
    private partial void Runs(SpiffeId vertex);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopped")]
    private partial void Stopped();

    [LoggerMessage(Level = LogLevel.Information, Message = "{File} is read again and in force")]
    private partial void Reloaded(string file);

    [LoggerMessage(Level = LogLevel.Error, Message = "The changed configuration is not applied, the old stays in force: {Problems}")]
    private partial void ReloadFailed(string problems);

    /// <summary>Disposes what has been started, last first, unless all of it starts.</summary>
    private sealed class Parts : IAsyncDisposable
    {
        private readonly Stack<IAsyncDisposable> started = new();

        public T Add<T>(T part)
            where T : IAsyncDisposable
        {
            started.Push(part);
            return part;
        }

        public void Release() => started.Clear();

        public async ValueTask DisposeAsync()
        {
            while (started.TryPop(out var part)) await part.DisposeAsync().ConfigureAwait(false);
        }
    }
}
