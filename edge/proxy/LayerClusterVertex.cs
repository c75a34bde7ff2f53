using System.Net;
using Florete.Identities;
using Florete.Layers;
using Florete.Links;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Coordination;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>The vertex on the real network: one loop on one thread, links over one UDP port.</summary>
internal sealed partial class LayerClusterVertex : IClusterVertex
{
    private const string UdpName = "udp";

    private readonly ThreadLoop loop;
    private readonly FileDirectoryCache cache;
    private readonly UdpLinkPortal? links;
    private readonly LinkMetrics? metrics;
    private readonly CountingPortal? counting;
    private readonly LayerVertex vertex;
    private readonly JoinRelay relay;
    private UdpLinksConfiguration? configuration;

    private LayerClusterVertex(
        ThreadLoop loop, FileDirectoryCache cache, UdpLinkPortal? links, CountingPortal? counting, LayerVertex vertex, JoinRelay relay, UdpLinksConfiguration? configuration)
    {
        (this.loop, this.cache, this.links, this.counting, this.vertex, this.relay, this.configuration) = (loop, cache, links, counting, vertex, relay, configuration);
        metrics = links is null ? null : new LinkMetrics(links);
        Coordination = new LayerCoordination(vertex, loop);
    }

    public IPortal Portal => vertex;

    public ThreadLoop Loop => loop;

    public ICoordinatedNetwork Coordination { get; }

    /// <summary>A <see cref="VertexFactory"/>.</summary>
    public static async Task<IClusterVertex> StartAsync(VertexParts parts, CancellationToken cancellationToken)
    {
        var (configuration, materials) = (parts.Configuration, parts.Materials);
        var logger = parts.Logs.CreateLogger("Florete.Links");
        var loop = new ThreadLoop("vertex");
        loop.Faulted += fault => LoopFaulted(logger, fault);
        FileDirectoryCache? cache = null;
        UdpLinkPortal? links = null;
        try
        {
            var pool = new PacketPool();
            CountingPortal? counting = null;
            var underlays = new List<Underlay>();
            cache = new FileDirectoryCache(Path.Combine(configuration.StateFolder, "directory"), parts.Logs.CreateLogger("Florete.Directory"));
            if (configuration.Udp is { } udp)
            {
                links = OpenLinks(udp, loop, pool, new LinkTrust(materials.Cluster, materials.Verifier, materials.Bounds, materials.Security.Events));
                links.Noted += line => Noted(logger, line);
                counting = new CountingPortal(links);
                underlays.Add(new Underlay(UdpName, counting, ToDial(udp)));
            }
            var vertex = await LayerVertex.StartAsync(
                new LayerVertexOptions(), loop, pool, parts.Identity, underlays, materials.Verifier, materials.Bounds, cache, parts.Logs,
                materials.Security, cancellationToken).ConfigureAwait(false);
            var relay = new JoinRelay(vertex, materials, configuration.Vertex);
            if (configuration.Udp is { Join: true }) await links!.LetJoinAsync(relay).ConfigureAwait(false);
            return new LayerClusterVertex(loop, cache, links, counting, vertex, relay, configuration.Udp);
        }
        catch
        {
            if (links is not null) await links.DisposeAsync().ConfigureAwait(false);
            await loop.DisposeAsync().ConfigureAwait(false);
            if (cache is not null) await cache.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async Task<VertexReport> ReportAsync(CancellationToken cancellationToken)
    {
        var status = await vertex.StatusAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        var port = links is null ? null : await links.StatusAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        return VertexReports.Make(status, port, links?.RefusedHandshakes ?? 0, configuration, counting);
    }

    public Task<IReadOnlyList<DirectoryMember>> MembersAsync(CancellationToken cancellationToken) => vertex.MembersAsync().WaitAsync(cancellationToken);

    public async Task<IReadOnlyList<TraceHop>> TraceAsync(SpiffeId target, CancellationToken cancellationToken)
    {
        var hops = await vertex.TraceAsync(target, cancellationToken).ConfigureAwait(false);
        return [.. hops.Select(static hop => new TraceHop(
            VertexReports.CamelCase(hop.Outcome.ToString()), hop.Vertex?.Path, VertexReports.Microseconds(hop.RoundTrip)))];
    }

    public async Task<AnnouncedRevocation> AnnounceAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken) =>
        await vertex.AnnounceAsync(message).WaitAsync(cancellationToken).ConfigureAwait(false);

    public async Task ApplyAsync(UdpLinksConfiguration? links, CancellationToken cancellationToken)
    {
        if (this.links is null || links is null) return;
        if (configuration!.Join != links.Join) await this.links.LetJoinAsync(links.Join ? relay : null).ConfigureAwait(false);
        configuration = configuration with { Join = links.Join };
        if (configuration.Neighbours.SequenceEqual(links.Neighbours, NeighbourComparer.Instance)) return;
        await this.links.UpdateNeighboursAsync(Neighbours(links)).ConfigureAwait(false);
        await vertex.SetNeighboursToDialAsync(UdpName, ToDial(links)).ConfigureAwait(false);
        configuration = links;
    }

    public async ValueTask DisposeAsync()
    {
        await vertex.DisposeAsync().ConfigureAwait(false);
        metrics?.Dispose();
        if (links is not null) await links.DisposeAsync().ConfigureAwait(false);
        await loop.DisposeAsync().ConfigureAwait(false);
        await cache.DisposeAsync().ConfigureAwait(false);
    }

    private static UdpLinkPortal OpenLinks(UdpLinksConfiguration udp, ThreadLoop loop, PacketPool pool, LinkTrust trust)
    {
        var options = new UdpLinkOptions { Neighbours = Neighbours(udp) };
        try
        {
            return new UdpLinkPortal(loop, pool, UdpLinkPortal.OpenSocket(loop, udp.Listen), options, trust);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or System.Net.Sockets.SocketException)
        {
            throw new IOException($"links.udp.listen: {udp.Listen}: {e.Message}; use an address of this machine and a port that nobody uses.", e);
        }
    }

    private static IReadOnlyList<UdpNeighbour> Neighbours(UdpLinksConfiguration udp) =>
        [.. udp.Neighbours.Select(static n => new UdpNeighbour(n.Vertex, [.. n.Addresses.Select(ToEndPoint)], n.CapacityBitsPerSecond))];

    // A neighbour without an address finds us.
    private static IReadOnlyList<SpiffeId> ToDial(UdpLinksConfiguration udp) =>
        [.. udp.Neighbours.Where(static n => n.Addresses.Count > 0).Select(static n => n.Vertex)];

    private static EndPoint ToEndPoint(string address) => Parsers.Target(address, out var endPoint, out var error)
        ? endPoint!
        : throw new ArgumentException(error, nameof(address));

    [LoggerMessage(Level = LogLevel.Information, Message = "{Line}")]
    private static partial void Noted(ILogger logger, string line);

    [LoggerMessage(Level = LogLevel.Error, Message = "A fault of this program in the vertex; it goes on")]
    private static partial void LoopFaulted(ILogger logger, Exception fault);

    private sealed class NeighbourComparer : IEqualityComparer<NeighbourConfiguration>
    {
        public static readonly NeighbourComparer Instance = new();

        public bool Equals(NeighbourConfiguration? x, NeighbourConfiguration? y) => x is not null && y is not null && x.Vertex == y.Vertex
            && x.CapacityBitsPerSecond == y.CapacityBitsPerSecond && x.Addresses.SequenceEqual(y.Addresses, StringComparer.Ordinal);

        public int GetHashCode(NeighbourConfiguration obj) => obj.Vertex.GetHashCode();
    }
}
