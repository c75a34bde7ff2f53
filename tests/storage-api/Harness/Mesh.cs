using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Tests.Harness;

namespace Florete.Storage.Api.Tests.Harness;

/// <summary>Vertices in memory: what one publishes those discover who can reach it. Vertices can be cut apart.</summary>
internal sealed class Mesh
{
    private readonly Lock gate = new();
    private readonly Dictionary<(SpiffeId Service, SpiffeId Vertex), IAcceptor> published = [];
    private readonly Dictionary<Channel<ServiceChange>, SpiffeId> watchers = [];
    private readonly ConcurrentDictionary<MeshConnection, byte> connections = new();
    private readonly HashSet<(string, string)> cuts = [];

    public IProgramPortal Portal(X509Svid identity, string vertex) => new ProgramPortal(this, identity, SpiffeId.Parse($"spiffe://home/vertex/{vertex}"));

    /// <summary>Nothing passes between the two any more, until <see cref="Mend"/>.</summary>
    public void Cut(string a, string b)
    {
        lock (gate)
        {
            cuts.Add((a, b));
            cuts.Add((b, a));
            Tell(a, b, false);
        }
        foreach (var connection in connections.Keys.Where(c => !Reaches(c.RemoteVertex.Name, c.OwnVertex.Name))) connection.Abort(new PortalException(PortalError.Unreachable, "The link was cut."));
    }

    public void Mend(string a, string b)
    {
        lock (gate)
        {
            cuts.Remove((a, b));
            cuts.Remove((b, a));
            Tell(a, b, true);
        }
    }

    private bool Reaches(string a, string b)
    {
        lock (gate) return !cuts.Contains((a, b));
    }

    private void Tell(string a, string b, bool isPresent)
    {
        foreach (var (service, vertex) in published.Keys)
        {
            foreach (var (channel, watcher) in watchers)
            {
                if ((vertex.Name, watcher.Name) == (a, b) || (vertex.Name, watcher.Name) == (b, a)) channel.Writer.TryWrite(new ServiceChange(service, vertex, isPresent));
            }
        }
    }

    private void Tell(ServiceChange change)
    {
        foreach (var (channel, watcher) in watchers)
        {
            if (Reaches(change.Vertex.Name, watcher.Name)) channel.Writer.TryWrite(change);
        }
    }

    private sealed class ProgramPortal(Mesh mesh, X509Svid identity, SpiffeId vertex) : IProgramPortal
    {
        private readonly byte[][] chain = [identity.Leaf.RawData, .. identity.Intermediates.Select(static c => c.RawData)];

        public async Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options, CancellationToken cancellationToken)
        {
            if (!SpiffeId.TryParse(target, out var id, out _) && !MeshName.TryParse(target, "home", out id, out _)) throw new PortalException(PortalError.NotFound, target);
            IAcceptor? acceptor;
            SpiffeId at;
            lock (mesh.gate)
            {
                // The own vertex's instance first, as the nearest.
                ((_, at), acceptor) = mesh.published.Where(p => p.Key.Service == id && mesh.Reaches(p.Key.Vertex.Name, vertex.Name) && (options?.Instance is null || options.Instance == p.Key.Vertex))
                    .OrderBy(p => p.Key.Vertex != vertex).FirstOrDefault();
            }
            if (acceptor is null) throw new PortalException(PortalError.NotFound, $"Nothing publishes {id}.");
            var (near, far) = LoopbackConnection.Pair(identity.Id, id, at);
            var (caller, called) = (new MeshConnection(near, vertex, at), new MeshConnection(far, at, vertex));
            mesh.connections[caller] = 0;
            near.Closed.Register(() => mesh.connections.TryRemove(caller, out _));
            await acceptor.AcceptAsync(called, cancellationToken);
            return caller;
        }

        public Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken)
        {
            lock (mesh.gate)
            {
                if (!mesh.published.TryAdd((identity.Id, vertex), acceptor)) throw new PortalException(PortalError.Refused, $"{identity.Id} is published already.");
                mesh.Tell(new ServiceChange(identity.Id, vertex, true));
            }
            return Task.FromResult<IPortalPublication>(new Publication(mesh, identity.Id, vertex));
        }

        public async IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            var channel = Channel.CreateBounded<ServiceChange>(1000);
            lock (mesh.gate)
            {
                foreach (var (service, at) in mesh.published.Keys.Where(key => mesh.Reaches(key.Vertex.Name, vertex.Name))) channel.Writer.TryWrite(new ServiceChange(service, at, true));
                if (watch) mesh.watchers[channel] = vertex;
            }
            try
            {
                while (watch || channel.Reader.Count > 0)
                {
                    var change = await channel.Reader.ReadAsync(cancellationToken);
                    if (query.Target is null || query.Target == change.Service) yield return change;
                }
            }
            finally
            {
                lock (mesh.gate) mesh.watchers.Remove(channel);
            }
        }

        public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
            Task.FromResult(new PortalSignature(ProgramSignature.Sign(identity, purpose, System.Security.Cryptography.SHA256.HashData(content.Span)), chain));

        public override string ToString() => $"{identity.Id.Path} at {vertex.Name}";
    }

    private sealed class Publication(Mesh mesh, SpiffeId identity, SpiffeId vertex) : IPortalPublication
    {
        private readonly TaskCompletionSource<PortalException?> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SpiffeId Identity => identity;

        public SpiffeId? Vertex => vertex;

        public Task<PortalException?> Ended => ended.Task;

        public ValueTask DisposeAsync()
        {
            lock (mesh.gate)
            {
                if (mesh.published.Remove((identity, vertex))) mesh.Tell(new ServiceChange(identity, vertex, false));
            }
            ended.TrySetResult(null);
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>A connection that knows where both ends live.</summary>
    private sealed class MeshConnection(LoopbackConnection inner, SpiffeId own, SpiffeId remote) : PortalConnection
    {
        public SpiffeId OwnVertex => own;

        public override SpiffeId Local => inner.Local;

        public override SpiffeId Remote => inner.Remote;

        public override SpiffeId RemoteVertex => remote;

        public override IDuplexPipe Stream => inner.Stream;

        public override CancellationToken Closed => inner.Closed;

        public override PortalException? CloseReason => inner.CloseReason;

        public override void Abort(PortalException reason) => inner.Abort(reason);

        public override ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
