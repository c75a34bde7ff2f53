using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Tests.Harness;

namespace Florete.Bus.Tests.Harness;

/// <summary>Several vertices in memory: what one publishes the others discover. Connections can be cut, connecting forbidden.</summary>
internal sealed class TestMesh
{
    private readonly ConcurrentDictionary<(SpiffeId Service, SpiffeId Vertex), IAcceptor> published = new();
    private readonly ConcurrentDictionary<Channel<ServiceChange>, byte> watchers = new();
    private readonly ConcurrentDictionary<LoopbackConnection, byte> connections = new();
    private int connected;

    public static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://home/{path}");

    /// <summary>Connections opened so far.</summary>
    public int Connected => connected;

    /// <summary>Says why a caller may not connect to a target; null allows.</summary>
    public Func<SpiffeId, SpiffeId, PortalException?> Refuse { get; set; } = static (_, _) => null;

    /// <summary>The portal of a program.</summary>
    public IProgramPortal Portal(string identity, string vertex = "a") => new ProgramPortal(this, Id(identity), Id($"vertex/{vertex}"));

    /// <summary>Breaks every connection.</summary>
    public void Cut()
    {
        foreach (var connection in connections.Keys)
        {
            connections.TryRemove(connection, out _);
            connection.Abort(new PortalException(PortalError.Unreachable, "The link was cut."));
        }
    }

    /// <summary>A program's death: what it published goes, and all connections from and to it.</summary>
    public void Kill(string identity, string vertex = "a")
    {
        var (service, at) = (Id(identity), Id($"vertex/{vertex}"));
        Withdraw(service, at);
        foreach (var connection in connections.Keys.Where(c => c.Remote == service || c.Local == service))
        {
            connections.TryRemove(connection, out _);
            connection.Abort(new PortalException(PortalError.Closed, "The program died."));
        }
    }

    private void Withdraw(SpiffeId service, SpiffeId vertex)
    {
        if (published.TryRemove((service, vertex), out _)) Tell(new ServiceChange(service, vertex, false));
    }

    private void Tell(ServiceChange change)
    {
        foreach (var watcher in watchers.Keys) watcher.Writer.TryWrite(change);
    }

    private sealed class ProgramPortal(TestMesh mesh, SpiffeId identity, SpiffeId vertex) : IProgramPortal
    {
        public async Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options, CancellationToken cancellationToken)
        {
            var id = SpiffeId.Parse(target);
            if (mesh.Refuse(identity, id) is { } refusal) throw refusal;
            var found = mesh.published.FirstOrDefault(p => p.Key.Service == id && (options?.Instance is null || p.Key.Vertex == options.Instance));
            if (found.Value is not { } acceptor) throw new PortalException(PortalError.NotFound, $"Nothing publishes {id}.");
            var (near, far) = LoopbackConnection.Pair(identity, id, found.Key.Vertex);
            mesh.connections[near] = 0;
            Interlocked.Increment(ref mesh.connected);
            near.Closed.Register(() => mesh.connections.TryRemove(near, out _));
            await acceptor.AcceptAsync(far, cancellationToken);
            return near;
        }

        public Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken)
        {
            if (!mesh.published.TryAdd((identity, vertex), acceptor)) throw new PortalException(PortalError.Refused, $"{identity} is published already.");
            mesh.Tell(new ServiceChange(identity, vertex, true));
            return Task.FromResult<IPortalPublication>(new Publication(mesh, identity, vertex));
        }

        public async IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            var channel = Channel.CreateBounded<ServiceChange>(1000);
            if (watch) mesh.watchers.TryAdd(channel, 0);
            try
            {
                foreach (var (service, at) in mesh.published.Keys) yield return new ServiceChange(service, at, true);
                while (watch) yield return await channel.Reader.ReadAsync(cancellationToken);
            }
            finally
            {
                mesh.watchers.TryRemove(channel, out _);
            }
        }

        public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
            throw new PortalException(PortalError.Refused, "There are no keys here.");

        public override string ToString() => identity.ToString();
    }

    private sealed class Publication(TestMesh mesh, SpiffeId identity, SpiffeId vertex) : IPortalPublication
    {
        private readonly TaskCompletionSource<PortalException?> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SpiffeId Identity => identity;

        public Task<PortalException?> Ended => ended.Task;

        public ValueTask DisposeAsync()
        {
            mesh.Withdraw(identity, vertex);
            ended.TrySetResult(null);
            return ValueTask.CompletedTask;
        }
    }
}
