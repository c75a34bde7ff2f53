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

    public Vertex(string name, IPEndPoint local, CertificateAuthority authority, LinkTrust trust, IPEndPoint? neighbour)
    {
        identity = new HeldIdentity(authority.Issue(SpiffeId.Of("bench", IdentityKind.Vertex, name), TimeSpan.FromHours(24), DateTimeOffset.UtcNow));
        loop = new ThreadLoop(name);
        IReadOnlyList<UdpNeighbour> neighbours = neighbour is null ? [] : [new UdpNeighbour(Server, [neighbour])];
        Portal = new UdpLinkPortal(loop, pool, UdpLinkPortal.OpenSocket(loop, local), new UdpLinkOptions { Neighbours = neighbours }, trust);
    }

    public static SpiffeId Server { get; } = SpiffeId.Of("bench", IdentityKind.Vertex, "b");

    public UdpLinkPortal Portal { get; }

    /// <summary>What this vertex receives.</summary>
    public CountingSink Sink { get; } = new();

    public long SentBytes { get; private set; }

    /// <summary>What the other end says that it received.</summary>
    public long ArrivedBytes => Sink.Reported;

    public ValueTask<IAsyncDisposable> PublishAsync() => Portal.PublishAsync(identity, this);

    public async Task<PortalConnection> ConnectAsync()
    {
        var link = await Portal.ConnectAsync(identity, Server, new ConnectOptions(ConnectionMode.Datagram));
        link.Datagrams!.Sink = Sink;
        return link;
    }

    public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        Sink.ReportTo(connection.Datagrams!);
        return ValueTask.CompletedTask;
    }

    public async Task BlastAsync(PortalConnection link, int bytes, TimeSpan duration)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var end = loop.Now + duration;
        var lastProgress = (Bytes: 0L, At: loop.Now);
        var forgiven = SentBytes - ArrivedBytes;
        void Turn()
        {
            if (loop.Now >= end || link.Closed.IsCancellationRequested)
            {
                done.TrySetResult();
                return;
            }
            var received = ArrivedBytes;
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
        await Task.Delay(50); // the last reports
    }

    public async ValueTask DisposeAsync()
    {
        await Portal.DisposeAsync();
        await loop.DisposeAsync();
    }
}

/// <summary>Counts what comes; as a server tells the total back, at most once a turn.</summary>
internal sealed class CountingSink : IDatagramSink, ITurnEnd
{
    private long bytes;
    private long reported;
    private DatagramFlow? reports;

    public long Bytes => Volatile.Read(ref bytes);

    public long Reported => Volatile.Read(ref reported);

    bool ITurnEnd.IsQueued { get; set; }

    public void ReportTo(DatagramFlow flow)
    {
        reports = flow;
        flow.Sink = this;
    }

    public void OnDatagram(PacketBuffer packet)
    {
        if (reports is null)
        {
            Volatile.Write(ref reported, BitConverter.ToInt64(packet.Span));
        }
        else
        {
            Volatile.Write(ref bytes, bytes + packet.Length);
            reports.Loop.AtEndOfTurn(this);
        }
        packet.Return();
    }

    public void OnTurnEnd()
    {
        var packet = reports!.Pool.Rent();
        BitConverter.TryWriteBytes(packet.Append(sizeof(long)), bytes);
        reports.Send(packet, TrafficClass.Interactive);
    }

    public void OnQualityChanged()
    {
    }
}
