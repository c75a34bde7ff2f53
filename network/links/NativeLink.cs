using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>
/// One link over a datagram connection of the layer below: signs of life, measurement and goodbyes beside the SDUs
/// (docs/protocols/link-native.md). Owns the connection. Loop-affine but for <see cref="Closed"/>, Abort and disposal.
/// </summary>
internal sealed class NativeLink : PortalConnection, IDatagramSink
{
    private const byte SduType = 0;
    private const int TypeBytes = 1, GoodbyeCopies = 3;

    private readonly PortalConnection carrier;
    private readonly DatagramFlow below;
    private readonly EventLoop loop;
    private readonly Liveness liveness;
    private readonly PathQuality quality;
    private readonly LinkPulse pulse;
    private readonly LoopTimer timer;
    private readonly Flow flow;
    private readonly CancellationTokenSource closed = new();
    private readonly CancellationTokenRegistration carrierClosed;
    private PortalException? closeReason;
    private Instant lastSent;
    private bool isClosed;

    /// <summary>Takes the connection over. Silent until <see cref="Start"/>. Inside a turn of the flow's loop.</summary>
    /// <param name="carrier">The datagram connection.</param>
    /// <param name="local">The vertex on this side.</param>
    /// <param name="remote">The vertex on the other side.</param>
    /// <param name="options">Of the portal.</param>
    public NativeLink(PortalConnection carrier, SpiffeId local, SpiffeId remote, NativeLinkOptions options)
    {
        (this.carrier, Local, Remote) = (carrier, local, remote);
        below = carrier.Datagrams!;
        loop = below.Loop;
        liveness = new Liveness(loop.Now, LivenessTimes.Native(options.KeepAlive));
        quality = new PathQuality(below.Quality.CapacityBitsPerSecond);
        pulse = new LinkPulse(liveness, quality, follows: Remote < Local);
        timer = loop.CreateTimer(OnTimer);
        flow = new Flow(this);
        below.Sink = this;
        carrierClosed = carrier.Closed.Register(() => loop.Post(OnCarrierClosed));
    }

    public override SpiffeId Local { get; }

    public override SpiffeId Remote { get; }

    public override SpiffeId RemoteVertex => Remote;

    /// <summary>Of the neighbour as the layer below knows it.</summary>
    public override PeerVerification? RemoteProof => carrier.RemoteProof;

    public override DatagramFlow Datagrams => flow;

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => closeReason;

    /// <summary>Both sides have taken the link: it lives, and must show that it does.</summary>
    public void Start()
    {
        if (isClosed) return;
        liveness.OnAuthenticated(loop.Now);
        OnTimer();
    }

    public override void Abort(PortalException reason) => loop.Post(() => Close(GoodbyeReason.Orderly, reason, tellNeighbour: true));

    public override async ValueTask DisposeAsync() => await loop.RunAsync(() =>
    {
        Close(GoodbyeReason.Orderly, null, tellNeighbour: true);
        return Task.CompletedTask;
    });

    void IDatagramSink.OnDatagram(PacketBuffer packet)
    {
        if (isClosed || packet.Length == 0)
        {
            packet.Return();
            return;
        }
        pulse.OnAuthenticated(loop.Now);
        if (packet.Span[0] == SduType && flow.Sink is { } sink)
        {
            packet.TrimStart(TypeBytes);
            sink.OnDatagram(packet);
            return;
        }
        OnMessage(packet.Span);
        packet.Return();
    }

    // Sizes may be others now; loss and delay are measured here.
    void IDatagramSink.OnQualityChanged() => flow.Sink?.OnQualityChanged();

    private void OnMessage(ReadOnlySpan<byte> message)
    {
        switch ((LinkMessageType)message[0])
        {
            case LinkMessageType.KeepAlive when KeepAlive.TryRead(message, out var keepAlive):
                if (!pulse.OnKeepAlive(keepAlive, loop.Now) || !timer.IsSet) break;
                if (pulse.IsKeepAliveDue(lastSent, loop.Now)) OnTimer();
                else SetTimer(loop.Now);
                break;
            case LinkMessageType.Goodbye when message.Length >= 2:
                var reason = (GoodbyeReason)message[1];
                Close(reason, UdpLink.ErrorOf(reason, $"{Remote} ended the link ({reason})."), tellNeighbour: false);
                break;
            default:
                break; // of a later version
        }
    }

    private void OnTimer()
    {
        if (isClosed) return;
        var now = loop.Now;
        pulse.ForgiveOwnStall(now);
        if (pulse.Check(now) is { } reason)
        {
            Close(reason, UdpLink.ErrorOf(reason, $"Nothing was heard from {Remote} for {liveness.Detection.TotalMilliseconds:0} ms."), tellNeighbour: true);
            return;
        }
        if (pulse.IsKeepAliveDue(lastSent, now)) SendKeepAlive(now);
        if (quality.TakeNews(now)) flow.Sink?.OnQualityChanged();
        if (!isClosed) SetTimer(now);
    }

    private void SetTimer(Instant now)
    {
        var wake = pulse.WakeAt(Instant.Never, lastSent, now);
        timer.Set(wake, LinkPulse.SlackOf(wake, now));
    }

    private void SendKeepAlive(Instant now)
    {
        var tally = below.Tally ?? default;
        var packet = below.Pool.Rent();
        pulse.Next(tally.Received, tally.Missing, now).Write(packet.Append(KeepAlive.Bytes));
        Send(packet, TrafficClass.Control);
    }

    private void Send(PacketBuffer packet, TrafficClass trafficClass)
    {
        lastSent = loop.Now;
        below.Send(packet, trafficClass);
    }

    private void OnCarrierClosed()
    {
        var reason = carrier.CloseReason;
        Close(GoodbyeReason.Orderly, reason is null ? null : new PortalException(reason.Error, $"The connection below ended: {reason.Message}"), tellNeighbour: false);
    }

    private void Close(GoodbyeReason reason, PortalException? error, bool tellNeighbour)
    {
        if (isClosed) return;
        for (var i = 0; tellNeighbour && i < GoodbyeCopies; i++)
        {
            var packet = below.Pool.Rent();
            packet.Append(2)[0] = (byte)LinkMessageType.Goodbye;
            packet.Span[1] = (byte)reason;
            Send(packet, TrafficClass.Control);
        }
        isClosed = true;
        closeReason = error;
        timer.Cancel();
        carrierClosed.Unregister();
        below.Sink = null;
        if (error is null) _ = carrier.DisposeAsync().AsTask();
        else carrier.Abort(error);
        closed.Cancel();
    }

    private sealed class Flow(NativeLink link) : DatagramFlow
    {
        public override EventLoop Loop => link.loop;

        public override PacketPool Pool => link.below.Pool;

        public override int MaxDatagramBytes => link.below.MaxDatagramBytes - TypeBytes;

        public override int UnsegmentedDatagramBytes => link.below.UnsegmentedDatagramBytes - TypeBytes;

        public override FlowQuality Quality => link.quality.Current with { CapacityBitsPerSecond = link.below.Quality.CapacityBitsPerSecond };

        public override FlowTally? Tally => link.below.Tally;

        public override void Send(PacketBuffer packet, TrafficClass trafficClass)
        {
            if (link.isClosed)
            {
                packet.Return();
                return;
            }
            packet.Prepend(TypeBytes)[0] = SduType;
            link.Send(packet, trafficClass);
        }
    }
}
