using System.Diagnostics.Metrics;
using System.Net;
using Florete.Identities;
using Florete.Links.Linux;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Links.Tests;

/// <summary>Links over real UDP sockets on loopback, each vertex on a thread of its own.</summary>
public class RealLinkTests
{
    private sealed class Vertex : IAcceptor, IDatagramSink, IAsyncDisposable
    {
        private readonly TaskCompletionSource enough = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly int expected;
        private readonly Action<PacketBuffer, Vertex>? answer;
        private DatagramFlow? flow;

        public Vertex(string name, CertificateAuthority authority, int expected, Action<PacketBuffer, Vertex>? answer, bool isPortable, params UdpNeighbour[] neighbours)
        {
            (this.expected, this.answer) = (expected, answer);
            Identity = new HeldIdentity(authority.Issue(Meeting.Id(name), TimeSpan.FromHours(1), DateTimeOffset.UtcNow));
            Loop = new ThreadLoop(name);
            var local = new IPEndPoint(IPAddress.Loopback, 0);
            Socket = isPortable ? new PortableUdpSocket(Loop, local) : UdpLinkPortal.OpenSocket(Loop, local);
            Portal = new UdpLinkPortal(
                Loop, Pool, Socket, new UdpLinkOptions { Neighbours = neighbours },
                new LinkTrust(authority.ClusterIdentity, new PeerVerifier(TrustBundle.Of(authority.Root)), new TestBounds()));
        }

        public HeldIdentity Identity { get; }

        public ThreadLoop Loop { get; }

        public PacketPool Pool { get; } = new();

        public IDatagramSocket Socket { get; }

        public UdpLinkPortal Portal { get; }

        public Task Enough => enough.Task;

        public long Received { get; private set; }

        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            Use(connection);
            return ValueTask.CompletedTask;
        }

        public void Use(PortalConnection connection)
        {
            flow = connection.Datagrams!;
            flow.Sink = this;
        }

        public void Reply(PacketBuffer packet) => flow!.Send(packet, TrafficClass.Bulk);

        public void OnDatagram(PacketBuffer packet)
        {
            if (++Received == expected) enough.TrySetResult();
            if (answer is null) packet.Return();
            else answer(packet, this);
        }

        public void OnQualityChanged()
        {
        }

        public async ValueTask DisposeAsync()
        {
            await Portal.DisposeAsync();
            await Loop.DisposeAsync();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Packets_go_over_loopback_and_come_back_unchanged(bool isPortable)
    {
        const int Packets = 200;
        using var authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
        var wrong = 0;
        // The echo hands the very packet back that it was given.
        await using var b = new Vertex("b", authority, Packets, static (packet, self) => self.Reply(packet), isPortable);
        await using var _ = await b.Portal.PublishAsync(b.Identity, b);
        await using var a = new Vertex(
            "a", authority, Packets,
            (packet, _) =>
            {
                if (packet.Length != 17_144 || packet.Span.IndexOfAnyExcept(packet.Span[0]) >= 0) wrong++;
                packet.Return();
            },
            isPortable, new UdpNeighbour(b.Identity.Id, [b.Portal.Local.ToEndPoint()]));
        using var metrics = new LinkMetrics(a.Portal);
        var link = await a.Portal.ConnectAsync(a.Identity, b.Identity.Id, new ConnectOptions(ConnectionMode.Datagram));
        await a.Loop.RunAsync(async () =>
        {
            a.Use(link);
            for (var i = 0; i < 100 * Packets && !a.Enough.IsCompleted; i++)
            {
                var packet = a.Pool.Rent();
                packet.Append(17_144).Fill((byte)i);
                a.Reply(packet);
                // Datagrams may be lost where kernel buffers are small, so this goes on until enough came back.
                if (isPortable || i % 8 == 7) await Task.Delay(1);
            }
        });
        await a.Enough.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(0, wrong);
        var status = await a.Portal.StatusAsync();
        Assert.True(Assert.Single(status.Links).IsUp);
        if (a.Socket is LinuxUdpSocket socket) Assert.True(socket.OffloadedBatches is { Sent: > 0, Received: > 0 }, socket.OffloadedBatches.ToString());
        Assert.True(MeasuredDatagrams() > Packets);
    }

    private static long MeasuredDatagrams()
    {
        var sum = 0L;
        using var listener = new MeterListener();
        listener.InstrumentPublished = static (instrument, l) =>
        {
            if (instrument is { Meter.Name: LinkMetrics.MeterName, Name: "florete.link.datagrams.received" }) l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => sum += value);
        listener.Start();
        listener.RecordObservableInstruments();
        return sum;
    }
}
