using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Coordination;

/// <summary>
/// A node's part in coordination: <c>node/…</c> is published while the bounds name anybody under <c>coordinate</c> and its SVID is held; both are followed. What was decided stays in force
/// whether or not it is.
/// </summary>
internal sealed partial class NodeCoordination : IAsyncDisposable
{
    private static readonly TimeSpan PublishAgain = TimeSpan.FromSeconds(5);

    private readonly NodeMaterials materials;
    private readonly ICoordinatedNetwork network;
    private readonly IPortal portal;
    private readonly SpiffeId node;
    private readonly CoordinationFile file;
    private readonly DecisionRefusals refusals;
    private readonly VertexCoordination core;
    private readonly CoordinationEndpoint endpoint;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly Channel<bool> changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Task following;
    private volatile string? problem;

    private NodeCoordination(
        NodeMaterials materials, ICoordinatedNetwork network, IPortal portal, SpiffeId node, CoordinationFile file, DecisionRefusals refusals, VertexCoordination core,
        CoordinationEndpoint endpoint, ILogger logger)
    {
        (this.materials, this.network, this.portal, this.node, this.file, this.refusals) = (materials, network, portal, node, file, refusals);
        (this.core, this.endpoint, this.logger) = (core, endpoint, logger);
        materials.Bounds.Changed += Look;
        materials.IdentitiesAdded += Look;
        Look();
        following = Task.Run(FollowAsync);
    }

    /// <param name="vertex">Of the node.</param>
    /// <param name="materials">Bounds, verifier, identities.</param>
    /// <param name="file">Owned from here on.</param>
    /// <param name="network">The vertex below.</param>
    /// <param name="portal">Where the node's identity is published.</param>
    /// <param name="clock">For validity and limits.</param>
    /// <param name="logger">For what is refused.</param>
    public static async Task<NodeCoordination> StartAsync(
        SpiffeId vertex, NodeMaterials materials, CoordinationFile file, ICoordinatedNetwork network, IPortal portal, TimeProvider clock, ILogger logger)
    {
        var node = SpiffeId.Of(vertex.Cluster, IdentityKind.Node, vertex.Name);
        var checks = new DecisionChecks(vertex, materials.Bounds, materials.Verifier);
        var refusals = new DecisionRefusals(materials.Security.Events!, clock, logger);
        var core = await network.Loop.RunAsync(() => Task.FromResult(
            new VertexCoordination(network, vertex, materials.Bounds, materials.Security.Revocations, checks, file, logger))).ConfigureAwait(false);
        return new NodeCoordination(
            materials, network, portal, node, file, refusals, core, new CoordinationEndpoint(node, network, core, checks, refusals, clock, logger), logger);
    }

    /// <summary>Its counters, by name.</summary>
    public IEnumerable<KeyValuePair<string, long>> Counters => Enum.GetValues<DecisionRefusal>()
        .Select(reason => KeyValuePair.Create($"coordination.refused.{DecisionRefusals.Word(reason)}", refusals.Count(reason)))
        .Append(KeyValuePair.Create("coordination.accepted", endpoint.Accepted));

    /// <summary>For the node's owner; from any thread.</summary>
    /// <param name="paths">Decided paths in the forwarding engine.</param>
    public async Task<CoordinationReport> ReportAsync(IReadOnlyList<PathReport> paths)
    {
        var report = await network.Loop.RunAsync(() => Task.FromResult(core.Report(refusals, paths))).ConfigureAwait(false);
        return report with { Problem = report.Problem ?? problem };
    }

    public async ValueTask DisposeAsync()
    {
        materials.Bounds.Changed -= Look;
        materials.IdentitiesAdded -= Look;
        await stopping.CancelAsync().ConfigureAwait(false);
        await following.ConfigureAwait(false);
        await endpoint.DisposeAsync().ConfigureAwait(false);
        await endpoint.InTurnAsync(static core => core.Dispose()).ConfigureAwait(false);
        await file.DisposeAsync().ConfigureAwait(false);
        refusals.Dispose();
        stopping.Dispose();
    }

    private void Look() => changed.Writer.TryWrite(true);

    private async Task FollowAsync()
    {
        IAsyncDisposable? published = null;
        try
        {
            while (true)
            {
                await changed.Reader.ReadAsync(stopping.Token).ConfigureAwait(false);
                published = await FollowAsync(published).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
        catch (Exception e)
        {
            FollowFaulted(e);
        }
        if (published is not null) await published.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<IAsyncDisposable?> FollowAsync(IAsyncDisposable? published)
    {
        var isWanted = materials.Bounds.Current.Coordinate.Count > 0;
        var held = materials.Find(node);
        problem = isWanted && held is null ? $"{node.Path} is not among the identities of this node, so no coordinator is spoken with; issue it (florctl identity issue)." : null;
        if (problem is not null) IsNotServed(problem);
        if (isWanted && held is not null)
        {
            if (published is not null) return published;
            try
            {
                published = await portal.PublishAsync(held, endpoint, stopping.Token).ConfigureAwait(false);
                IsServed(node.Path);
            }
            catch (PortalException e)
            {
                problem = $"{node.Path} cannot be published: {e.Message}";
                IsNotServed(problem);
                _ = LookAgainAsync();
            }
            return published;
        }
        if (published is null) return null;
        await published.DisposeAsync().ConfigureAwait(false);
        await endpoint.EndStreamsAsync().ConfigureAwait(false);
        IsWithdrawn(node.Path);
        return null;
    }

    private async Task LookAgainAsync()
    {
        await Task.Delay(PublishAgain).ConfigureAwait(false);
        Look();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Coordination: {Node} is published, for the bounds let this group be coordinated")]
    private partial void IsServed(string node);

    [LoggerMessage(Level = LogLevel.Information, Message = "Coordination: {Node} is withdrawn, for the bounds let nobody coordinate")]
    private partial void IsWithdrawn(string node);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Coordination: {Problem}")]
    private partial void IsNotServed(string problem);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Changes of the bounds are no longer followed by coordination; restart flor")]
    private partial void FollowFaulted(Exception fault);
}
