using System.Collections.Concurrent;
using Florete.Identities;
using Florete.Portals;

namespace Florete.Proxy;

/// <summary>A portal of links that counts how often a link to each neighbour went down, for <c>flor status</c>. Thread-safe.</summary>
internal sealed class CountingPortal(IPortal portal) : IPortal
{
    // Neighbours are proved vertices that the bounds allow, so there is no end to them only if the bounds have none.
    private readonly ConcurrentDictionary<SpiffeId, long> downs = new();

    public long DownsOf(SpiffeId neighbour) => downs.GetValueOrDefault(neighbour);

    public ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default) =>
        portal.PublishAsync(identity, new Acceptor(this, acceptor), cancellationToken);

    public async ValueTask<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default)
    {
        // The caller stays in the turn of its loop.
#pragma warning disable CA2007
        var connection = await portal.ConnectAsync(caller, target, options, cancellationToken);
#pragma warning restore CA2007
        Watch(connection);
        return connection;
    }

    public IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, CancellationToken cancellationToken = default) =>
        portal.DiscoverAsync(query, watch, cancellationToken);

    private void Watch(PortalConnection connection)
    {
        var neighbour = connection.Remote;
        connection.Closed.UnsafeRegister(_ => downs.AddOrUpdate(neighbour, 1, static (_, count) => count + 1), null);
    }

    private sealed class Acceptor(CountingPortal owner, IAcceptor acceptor) : IAcceptor
    {
        public ConnectionMode Modes => acceptor.Modes;

        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
#pragma warning disable CA2007
            await acceptor.AcceptAsync(connection, cancellationToken);
#pragma warning restore CA2007
            owner.Watch(connection);
        }
    }
}
