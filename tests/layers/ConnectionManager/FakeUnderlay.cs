using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers.Tests;

/// <summary>A layer below in which everyone reaches everyone, unless told otherwise; one portal per loop.</summary>
internal sealed class FakeUnderlay
{
    private readonly Dictionary<SpiffeId, (FakePortal Portal, IAcceptor Acceptor)> published = [];

    public HashSet<SpiffeId> Unreachable { get; } = [];

    public List<(SpiffeId Caller, SpiffeId Target, Instant At)> Dials { get; } = [];

    public List<FakeConnection> Connections { get; } = [];

    public FakePortal Portal(EventLoop loop, PacketPool pool) => new(this, loop, pool);

    internal sealed class FakePortal(FakeUnderlay underlay, EventLoop loop, PacketPool pool) : IPortal
    {
        public ValueTask<IAsyncDisposable> PublishAsync(HeldIdentity identity, IAcceptor acceptor, CancellationToken cancellationToken = default)
        {
            underlay.published.Add(identity.Id, (this, acceptor));
            return ValueTask.FromResult<IAsyncDisposable>(new Publication(() => underlay.published.Remove(identity.Id)));
        }

        public async ValueTask<PortalConnection> ConnectAsync(
            HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken = default)
        {
            underlay.Dials.Add((caller.Id, target, loop.Now));
            Assert.Equal(ConnectionMode.Datagram, options.Mode);
            if (!underlay.published.TryGetValue(target, out var there) || underlay.Unreachable.Contains(target))
            {
                throw new PortalException(PortalError.Unreachable, $"{target} does not answer.");
            }
            var delay = TimeSpan.FromMilliseconds(1);
            var near = new FakeFlow(loop, pool, delay);
            var far = new FakeFlow(there.Portal.Loop, there.Portal.Pool, delay) { Peer = near };
            near.Peer = far;
            var remote = new FakeConnection(target, caller.Id, far);
            var local = new FakeConnection(caller.Id, target, near) { Peer = remote };
            remote.Peer = local;
            await there.Portal.Loop.RunAsync(async () => await there.Acceptor.AcceptAsync(remote, cancellationToken));
            underlay.Connections.Add(local);
            return local;
        }

        public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
            ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            await Task.CompletedTask;
            yield break;
        }

        private EventLoop Loop => loop;

        private PacketPool Pool => pool;
    }

    private sealed class Publication(Action withdraw) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            withdraw();
            return ValueTask.CompletedTask;
        }
    }
}

internal sealed class FakeConnection(SpiffeId local, SpiffeId remote, FakeFlow flow) : PortalConnection
{
    private readonly CancellationTokenSource closed = new();
    private PortalException? reason;

    public FakeConnection? Peer { get; set; }

    public FakeFlow Flow => flow;

    public bool IsClosed => closed.IsCancellationRequested;

    public override SpiffeId Local => local;

    public override SpiffeId Remote => remote;

    public override SpiffeId RemoteVertex => remote;

    public override DatagramFlow Datagrams => flow;

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => reason;

    public override void Abort(PortalException reason)
    {
        End(reason);
        Peer?.End(reason);
    }

    public override ValueTask DisposeAsync()
    {
        End(null);
        Peer?.End(null);
        return ValueTask.CompletedTask;
    }

    private void End(PortalException? why)
    {
        if (closed.IsCancellationRequested) return;
        reason = why;
        closed.Cancel();
    }
}

internal sealed class FakeBounds : IBounds
{
    public HashSet<SpiffeId> Forbidden { get; } = [];

    public event Action? Changed;

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) =>
        Forbidden.Contains(vertex) || Forbidden.Contains(neighbour) ? Verdict.Refused($"no rule lets {vertex} and {neighbour} form a link") : Verdict.Allowed;

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => Verdict.Allowed;

    public void Change() => Changed?.Invoke();
}

internal static class TestIdentity
{
    public static HeldIdentity Vertex(string name) => Of(SpiffeId.Of("home", IdentityKind.Vertex, name));

    public static HeldIdentity Of(SpiffeId id)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256);
        return new HeldIdentity(new X509Svid(id, request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(90)), []));
    }
}
