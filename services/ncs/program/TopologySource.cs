using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Ncs.Program;

/// <summary>There is no topology; the message says what is missing.</summary>
internal sealed class TopologyException(string message, Exception? inner = null) : Exception(message, inner);

/// <param name="Network">For computations.</param>
/// <param name="At">When it was told, on the clock of its source.</param>
internal sealed record KnownTopology(Network Network, long At);

/// <summary>The topology as this node's vertex tells it; asked for again when it is older than <see cref="MostAge"/>. For one caller at a time.</summary>
/// <param name="node">The portal of <c>node/…</c>.</param>
/// <param name="time">Its clock.</param>
internal sealed class TopologySource(IProgramPortal node, TimeProvider time) : IAsyncDisposable
{
    public static readonly TimeSpan MostAge = TimeSpan.FromMilliseconds(200);

    private readonly SemaphoreSlim turn = new(1);
    private SpiffeId? identity;
    private VertexClient? vertex;

    /// <summary>The last one that was told; null: none was yet.</summary>
    public KnownTopology? Last { get; private set; }

    public TimeSpan AgeOf(KnownTopology known) => time.GetElapsedTime(known.At);

    /// <exception cref="TopologyException">The vertex does not tell it.</exception>
    public async Task<Network> GetAsync(CancellationToken cancellationToken)
    {
        await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (Last is { } last && AgeOf(last) < MostAge) return last.Network;
            // What was asked before it came is what it is.
            var asked = time.GetTimestamp();
            var topology = await AskAsync(cancellationToken).ConfigureAwait(false);
            var links = topology.Vertices.SelectMany(static v => v.Links.Select(l => new NetworkLink(v.Name, l.Neighbour, l.MetricMicroseconds, l.CapacityBitsPerSecond))).ToArray();
            if (!Network.TryCreate([.. topology.Vertices.Select(static v => v.Name)], links, out var network, out var problem))
                throw new TopologyException($"The topology is larger than can be computed with: {problem}");
            Last = new KnownTopology(network, asked);
            return network;
        }
        finally
        {
            turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (vertex is not null) await vertex.DisposeAsync().ConfigureAwait(false);
        turn.Dispose();
    }

    private async Task<Topology> AskAsync(CancellationToken cancellationToken)
    {
        try
        {
            identity ??= await VertexClient.WhoAmIAsync(node, cancellationToken).ConfigureAwait(false);
            if (identity.Kind != IdentityKind.Node)
                throw new TopologyException($"{node} is the portal socket of {identity.Path}, and only a node is told the topology; name the portal socket of this node with --node.");
            vertex ??= new VertexClient(node, identity.Cluster);
            return await vertex.TopologyAsync(identity.Name, cancellationToken).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            throw new TopologyException($"The vertex of this node does not tell the topology: {e.Message}", e);
        }
        catch (CoordinationException e)
        {
            throw new TopologyException($"The vertex of this node does not tell the topology: {e.Message}", e);
        }
    }
}
