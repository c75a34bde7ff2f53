using System.Runtime.CompilerServices;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Links;

/// <summary>
/// The link layer <c>native</c> as a portal: the links of one vertex of a layer, carried by the layer below, which it knows by its portal
/// alone (docs/protocols/link-native.md). Each connection is one link, and ends when the link is down: connect again. Holds nothing to be disposed: links are their
/// users'.
/// </summary>
public sealed class NativeLinkPortal : IPortal
{
    private readonly IPortal below;
    private readonly HeldIdentity service;
    private readonly NativeLinkOptions options;
    private readonly IBounds bounds;
    private readonly SpiffeId self;

    /// <param name="below">The layer below; its datagrams must be on the loop of the vertex.</param>
    /// <param name="service">The vertex as the layer below knows it: <see cref="NativeLinkOptions.ServiceOf"/>.</param>
    /// <param name="options">Validated here.</param>
    /// <param name="bounds">Which vertices may form links.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the identity names no vertex of the layer.</exception>
    public NativeLinkPortal(IPortal below, HeldIdentity service, NativeLinkOptions options, IBounds bounds)
    {
        options.Validate();
        (this.below, this.service, this.options, this.bounds) = (below, service, options, bounds);
        self = options.VertexOf(service.Id)
            ?? throw new ArgumentException($"{service.Id} is no vertex of layer '{options.Layer}': name it service/{options.Layer}-<vertex>.", nameof(service));
    }

    public async ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default)
    {
        RequireSelf(identity.Id);
        return await below.PublishAsync(service, new Acceptor(this, acceptor), cancellationToken);
    }

    public async ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default)
    {
        RequireSelf(caller.Id);
        if (options.Mode != ConnectionMode.Datagram) throw new PortalException(PortalError.Refused, "A link carries datagrams only: connect with ConnectionMode.Datagram.");
        if (target.Kind != IdentityKind.Vertex) throw new PortalException(PortalError.Refused, $"{target} is not a vertex; only vertices form links.");
        if (target.Cluster != self.Cluster)
            throw new PortalException(PortalError.Refused, $"{target} is of another cluster than {self}; the layer below proves neighbours of its own cluster only.");
        if (bounds.MayLink(self, target).Refusal is { } refusal) throw new PortalException(PortalError.Refused, refusal);
        // Interactive: keys and goodbyes of the link do not wait behind its own data.
        var connection = await below.ConnectAsync(
            service, this.options.ServiceOf(target), options with { Class = TrafficClass.Interactive, Instance = null }, cancellationToken);
        return await FlowOf(connection).Loop.RunAsync(() =>
        {
            var link = new NativeLink(connection, self, target, this.options);
            link.Start();
            return Task.FromResult<PortalConnection>(link);
        });
    }

    public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
        ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if ((query.Kind ?? IdentityKind.Vertex) != IdentityKind.Vertex || query.Target is { Kind: not IdentityKind.Vertex }) yield break;
        var asked = new ServiceQuery(query.Target is { } target ? options.ServiceOf(target) : null, IdentityKind.Service);
        await foreach (var change in below.DiscoverAsync(asked, watch, cancellationToken))
        {
            if (options.VertexOf(change.Service) is { } vertex) yield return new ServiceChange(vertex, vertex, change.IsPresent);
        }
    }

    private static DatagramFlow FlowOf(PortalConnection connection) =>
        connection.Datagrams ?? throw new PortalException(PortalError.ProtocolViolation, "The layer below gave a connection without datagrams.");

    private void RequireSelf(SpiffeId id)
    {
        if (id != self) throw new PortalException(PortalError.Refused, $"{id} is not {self}, for whom {service.Id} stands in the layer below.");
    }

    private sealed class Acceptor(NativeLinkPortal portal, IAcceptor acceptor) : IAcceptor
    {
        public ConnectionMode Modes => ConnectionMode.Datagram;

        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            if (connection.Datagrams is not { } flow) throw new PortalException(PortalError.Refused, "A link needs a connection that carries datagrams.");
            if (portal.options.VertexOf(connection.Remote) is not { } neighbour || neighbour == portal.self)
                throw new PortalException(PortalError.Refused, $"{connection.Remote} is no other vertex of layer '{portal.options.Layer}'.");
            if (portal.bounds.MayLink(portal.self, neighbour).Refusal is { } refusal) throw new PortalException(PortalError.Refused, refusal);
            var link = await flow.Loop.RunAsync(() => Task.FromResult(new NativeLink(connection, portal.self, neighbour, portal.options)));
            await acceptor.AcceptAsync(link, cancellationToken);
            // What refuses throws, and the connection below ends; the link with it.
            flow.Loop.Post(link.Start);
        }
    }
}
