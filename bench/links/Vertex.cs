using System.Net;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Links.Bench;

/// <summary>A vertex with a loop of its own, that takes every link and counts what comes.</summary>
internal sealed class Vertex : IAcceptor, IAsyncDisposable
{
    // Sent and not yet counted by the receiver: less than the socket's receive buffer, so that losses are not the bench's own.
    private const long Window = 2 << 20;
    private const long Burst = 512 << 10;

    private readonly ThreadLoop loop;
    private readonly PacketPool pool = new();
    private readonly HeldIdentity identity;

    public Vertex(string name, IPAddress address, CertificateAuthority authority, LinkTrust trust, Vertex? neighbour)
    {
        identity = new HeldIdentity(authority.Issue(SpiffeId.Of("bench", IdentityKind.Vertex, name), TimeSpan.FromHours(24), DateTimeOffset.UtcNow));
        loop = new ThreadLoop(name);
        IReadOnlyList<UdpNeighbour> neighbours = neighbour is null ? [] : [new UdpNeighbour(neighbour.identity.Id, [neighbour.Portal.Local.ToEndPoint()])];
        Portal = new UdpLinkPortal(loop, pool, UdpLinkPortal.OpenSocket(loop, new IPEndPoint(address, 0)), new UdpLinkOptions { Neighbours = neighbours }, trust);
    }

    public UdpLinkPortal Portal { get; }

    public CountingSink Sink { get; } = new();

    public long SentBytes { get; private set; }

    public ValueTask<IAsyncDisposable> PublishAsync() => Portal.PublishAsync(identity, this);

    public ValueTask<PortalConnection> ConnectAsync(Vertex neighbour) =>
        Portal.ConnectAsync(identity, neighbour.identity.Id, new ConnectOptions(ConnectionMode.Datagram));

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        connection.Datagrams!.Sink = Sink;
        return ValueTask.CompletedTask;
    }

    public async Task BlastAsync(PortalConnection link, CountingSink sink, int bytes, TimeSpan duration)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var end = loop.Now + duration;
        var lastProgress = (Bytes: 0L, At: loop.Now);
        var forgiven = SentBytes - sink.Bytes;
        void Turn()
        {
            if (loop.Now >= end || link.Closed.IsCancellationRequested)
            {
                done.TrySetResult();
                return;
            }
            var received = sink.Bytes;
            if (received != lastProgress.Bytes) lastProgress = (received, loop.Now);
            else if (loop.Now - lastProgress.At > TimeSpan.FromMilliseconds(20)) forgiven = SentBytes - received; // lost, not late
            for (var burst = 0L; burst < Burst && SentBytes - forgiven - received < Window; burst += bytes)
            {
                var packet = pool.Rent();
                packet.Append(bytes);
                link.Datagrams!.Send(packet, TrafficClass.Bulk);
                SentBytes += bytes;
            }
            loop.Post(Turn);
        }
        loop.Post(Turn);
        await done.Task;
        await Task.Delay(50);
    }

    public async ValueTask DisposeAsync()
    {
        await Portal.DisposeAsync();
        await loop.DisposeAsync();
    }
}

internal sealed class CountingSink : IDatagramSink
{
    private long bytes;

    public long Bytes => Volatile.Read(ref bytes);

    public void OnDatagram(PacketBuffer packet)
    {
        Volatile.Write(ref bytes, bytes + packet.Length);
        packet.Return();
    }

    public void OnQualityChanged()
    {
    }
}

internal sealed class OpenBounds : IBounds
{
    public event Action? Changed
    {
        add { }
        remove { }
    }

    public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => Verdict.Allowed;

    public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

    public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => Verdict.Allowed;
}
