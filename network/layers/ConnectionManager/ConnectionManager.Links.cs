using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>From connection to adjacency and back.</summary>
public sealed partial class ConnectionManager
{
    private void CheckConnection(PortalConnection connection, int underlay)
    {
        var neighbour = connection.Remote;
        if (neighbour.Kind != IdentityKind.Vertex || neighbour == self.Id)
        {
            throw new PortalException(PortalError.Refused, $"{neighbour} is no other vertex; only vertices form links.");
        }
        Check(bounds.MayLink(self.Id, neighbour));
        if (RevocationOf(connection) is { } revoked) throw new PortalException(PortalError.Refused, revoked);
        if (connection.Datagrams is not { } flow) throw new PortalException(PortalError.Refused, "A link needs a connection that carries datagrams.");
        if (flow.Loop != loop) throw new PortalException(PortalError.Refused, $"The underlay {underlays[underlay].Name} runs on another loop than the vertex.");
        if (links.Count + accepting.Count >= options.MaxAdjacencies)
        {
            throw new PortalException(PortalError.LimitReached, $"{self.Id} has {options.MaxAdjacencies} links, as many as it may.");
        }
        if (links.Count(l => Joins(l, underlay, neighbour)) + accepting.Count(a => a == (underlay, neighbour)) >= MaxParallelLinks)
        {
            throw new PortalException(PortalError.LimitReached, $"{neighbour} has {MaxParallelLinks} links with {self.Id} already.");
        }
    }

    private void Add(PortalConnection connection, int underlay)
    {
        // An underlay that settles a simultaneous dial may hand out one connection twice: as dialled and as accepted.
        if (links.Exists(l => l.Connection == connection)) return;
        var neighbour = connection.Remote;
        var adjacency = new Adjacency(neighbour, TakeSegment(), connection.Datagrams!, connection, underlay);
        var link = new LinkRecord(loop, connection, adjacency, options.MetricInterval, changed => AdjacencyChanged?.Invoke(changed));
        if (self.Id < neighbour)
        {
            foreach (var older in links)
            {
                if (Joins(older, underlay, neighbour)) Retire(older);
            }
        }
        links.Add(link);
        AdjacencyUp?.Invoke(adjacency);
        link.OnClosed = connection.Closed.Register(() => loop.Post(() =>
        {
            if (Remove(link, connection.CloseReason?.Message ?? "the neighbour has closed the link")) Release(connection);
        }));
    }

    private void Retire(LinkRecord link)
    {
        if (link.Retirement is not null) return;
        link.Retirement = loop.CreateTimer(() =>
        {
            if (Remove(link, "a newer link replaces it")) Release(link.Connection);
        });
        link.Retirement.Set(loop.Now + options.ReplacedLinger);
    }

    private bool Remove(LinkRecord link, string reason)
    {
        if (!links.Remove(link)) return false;
        link.Stop();
        var (underlay, neighbour) = (link.Adjacency.Underlay, link.Adjacency.Neighbour);
        AdjacencyDown?.Invoke(link.Adjacency, reason);
        if (!HasLink(underlay, neighbour)) FindDialer(underlay, neighbour)?.OnLinkDown(loop.Now - link.Since, reason);
        return true;
    }

    /// <summary>Lets an ended connection free what it has; a fault in that surfaces at the loop.</summary>
    private void Release(PortalConnection connection) => loop.Post(async () => await connection.DisposeAsync());

    /// <summary>The next free adjacency segment, round the range: one that has just become free names another link as late as possible.</summary>
    private Label TakeSegment()
    {
        while (true)
        {
            var label = new Label(nextSegment);
            nextSegment = nextSegment == Label.Adjacencies.Last ? Label.Adjacencies.First : nextSegment + 1;
            if (!links.Exists(l => l.Adjacency.Segment == label)) return label;
        }
    }

    private sealed class Acceptor(ConnectionManager manager, int underlay) : IAcceptor
    {
        public ConnectionMode Modes => ConnectionMode.Datagram;

        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken) => await manager.loop.RunAsync(() =>
        {
            if (manager.stopping.IsCancellationRequested) throw new PortalException(PortalError.Closed, $"{manager.self.Id} stops.");
            manager.CheckConnection(connection, underlay);
            // Bytes flow only after the acceptance has returned, so the link is announced in the turn after.
            manager.accepting.Add((underlay, connection.Remote));
            manager.loop.Post(() =>
            {
                manager.accepting.Remove((underlay, connection.Remote));
                if (manager.stopping.IsCancellationRequested) manager.Release(connection);
                else manager.Add(connection, underlay);
            });
            return Task.CompletedTask;
        });
    }
}
