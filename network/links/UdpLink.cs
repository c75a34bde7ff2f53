using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Florete.Sealing;

namespace Florete.Links;

/// <summary>One link: a datagram connection between two vertices. Loop-affine but for <see cref="Closed"/>, Abort and disposal.</summary>
internal sealed partial class UdpLink : PortalConnection
{
    private readonly LinkPort port;
    private readonly IUdpLinkOwner owner;
    private readonly SealerPhases sealing;
    private readonly OpenerPhases opening = new(Lanes.Count);
    private readonly TrafficQueues queues;
    private readonly Reassembler reassembler;
    private readonly Liveness liveness;
    private readonly PathQuality quality;
    private readonly LinkPulse pulse;
    private readonly MtuSearch mtu;
    private readonly LinkTransmitter transmitter;
    private readonly LoopTimer timer;
    private readonly CancellationTokenSource closed = new();
    private readonly LinkFlow flow;
    private ulong receivedSegments;
    private long receivedBytes;

    public UdpLink(LinkPort port, IUdpLinkOwner owner, UdpLinkOptions options, ControlChannel control, Hello peerHello, uint index, long? capacity, TimeSpan survivedGap)
    {
        (this.port, this.owner, this.control, Index, PeerRun) = (port, owner, control, index, peerHello.Run);
        PeerBegun = peerHello.Begun;
        (Local, Remote) = (control.Local!, control.Peer!.Id!);
        PeerNotAfter = control.Peer.NotAfter;
        IsDialler = control.IsDialler;
        Began = port.Loop.Now;
        sealing = new SealerPhases(Lanes.Count, options.RekeyLimits);
        queues = new TrafficQueues(options.QueueDiscipline);
        reassembler = new Reassembler(port.Pool, port.Counters);
        liveness = new Liveness(Began, LivenessTimes.Udp, survivedGap);
        quality = new PathQuality(capacity);
        pulse = new LinkPulse(liveness, quality, follows: Remote < Local);
        mtu = new MtuSearch(control.To.IsIPv4, Began);
        transmitter = new LinkTransmitter(port, sealing, queues, liveness, mtu, control.To, peerHello.LinkIndex);
        Observed = peerHello.Observed;
        flow = new LinkFlow(this);
        timer = port.Loop.CreateTimer(OnTimer);
        timer.Set(Began + options.HandshakeTimeout);
        transmitter.OnUnreachable = () =>
        {
            if (!IsClosed && IsUp) SetTimer(port.Loop.Now);
        };
    }

    /// <summary>What the neighbour puts into its segments.</summary>
    public uint Index { get; }

    public uint PeerIndex => transmitter.PeerIndex;

    /// <summary>Which start of the neighbour this is.</summary>
    public ulong PeerRun { get; }

    /// <summary>The neighbour's count of links when it told us of this one; see <see cref="Hello.Begun"/>.</summary>
    public ulong PeerBegun { get; }

    /// <summary>This side dialled.</summary>
    public bool IsDialler { get; }

    public Instant Began { get; }

    /// <summary>Silence that means down, now.</summary>
    public TimeSpan Detection => liveness.Detection;

    public DateTimeOffset PeerNotAfter { get; private set; }

    /// <summary>Keys are there in both directions: data flows.</summary>
    public bool IsUp { get; private set; }

    public bool IsClosed { get; private set; }

    /// <summary>Both sides have taken it: users have it.</summary>
    public bool IsAccepted { get; set; }

    /// <summary>Our address as the neighbour sees it.</summary>
    public UdpAddress? Observed { get; private set; }

    public UdpAddress Address => transmitter.To;

    public override SpiffeId Local { get; }

    public override SpiffeId Remote { get; }

    public override SpiffeId RemoteVertex => Remote;

    public override DatagramFlow Datagrams => flow;

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => closeReason;

    public override PeerVerification? RemoteProof => control.Peer;

    public override void Abort(PortalException reason) =>
        port.Loop.Post(() => Close(GoodbyeReason.Orderly, reason.Message, reason, tellNeighbour: true));

    public override async ValueTask DisposeAsync() => await port.Loop.RunAsync(() =>
    {
        Close(GoodbyeReason.Orderly, "Closed by its user.", null, tellNeighbour: true);
        return Task.CompletedTask;
    });

    /// <summary>A segment with this link's index. Ends in exactly one counter, now or when its SDU is settled.</summary>
    public void OnSegment(UdpAddress from, in SegmentHeader header, ReadOnlySpan<byte> datagram)
    {
        var counters = port.Counters;
        var payload = datagram[SegmentHeader.Bytes..];
        if (!SegmentCut.TryRead(header, payload.Length, out var cut))
        {
            counters.Count(DatagramFate.Malformed);
            return;
        }
        var check = opening.Check(header.Epoch, header.Counter);
        if (check != OpenResult.Opened)
        {
            counters.Count(FateOf(check));
            return;
        }
        var isFromPath = from == transmitter.To;
        if (cut.Count > 1 && !isFromPath)
        {
            counters.Count(DatagramFate.WrongAddress);
            return;
        }
        PacketBuffer? sealedSdu;
        if (cut.Count == 1)
        {
            sealedSdu = port.Pool.Rent();
            payload.CopyTo(sealedSdu.Append(payload.Length));
        }
        else
        {
            sealedSdu = reassembler.Add(header, cut, payload, port.Loop.Now, out var advanced);
            if (advanced && sealedSdu is null) liveness.OnProgress(port.Loop.Now);
            if (sealedSdu is null) return;
        }
        Open(from, isFromPath, header, cut.Count, datagram, sealedSdu);
    }

    /// <summary>Ends the link. Idempotent.</summary>
    public void Close(GoodbyeReason reason, string text, PortalException? error, bool tellNeighbour)
    {
        if (IsClosed) return;
        // Sealed goodbyes are quick and come thrice, but have no text: a refusal is told by the control channel alone.
        if (tellNeighbour && IsUp && reason is (GoodbyeReason.Orderly or GoodbyeReason.Silence or GoodbyeReason.SendsFail or GoodbyeReason.Replaced)) SayGoodbye(reason);
        IsClosed = true;
        closeReason = error;
        timer.Cancel();
        transmitter.Close();
        reassembler.Clear();
        if (tellNeighbour) control.Close(reason, text);
        else control.Drop();
        sealing.Dispose();
        opening.Dispose();
        owner.OnLinkClosed(this, reason, text);
        closed.Cancel();
    }

    public LinkStatus Status()
    {
        var current = quality.Current;
        return new LinkStatus(
            Local, Remote, transmitter.To.ToString(), Observed?.ToString(), IsUp, port.Loop.Now - Began, current.RoundTrip, current.Loss, quality.ReceivingLoss,
            current.CapacityBitsPerSecond, mtu.DatagramBytes, liveness.Detection, sealing.Current?.Epoch ?? 0, PeerNotAfter, transmitter.SentDatagrams,
            transmitter.SentBytes, (long)receivedSegments, receivedBytes, queues.Bytes, queues.Dropped.Sum());
    }

    private static DatagramFate FateOf(OpenResult result) => result switch
    {
        OpenResult.Opened => DatagramFate.Accepted,
        OpenResult.UnknownEpoch => DatagramFate.UnknownEpoch,
        OpenResult.OutOfRange => DatagramFate.OutOfRange,
        OpenResult.Replayed => DatagramFate.Replayed,
        _ => DatagramFate.Unauthentic,
    };

    private void Open(UdpAddress from, bool isFromPath, in SegmentHeader header, int segments, ReadOnlySpan<byte> datagram, PacketBuffer packet)
    {
        Span<byte> associated = stackalloc byte[SegmentHeader.Bytes];
        datagram[..SegmentHeader.Bytes].CopyTo(associated);
        associated[2] = associated[3] = 0;
        var result = opening.Open(packet, header.Epoch, header.Counter, associated, port.Loop.Now);
        port.Counters.Count(FateOf(result), segments);
        if (result != OpenResult.Opened)
        {
            packet.Return();
            return;
        }
        receivedSegments += (ulong)segments;
        receivedBytes += packet.Length;
        pulse.OnAuthenticated(port.Loop.Now);
        if (!IsUp) OnSealedBeforeKeyReady();
        if (header.Counter.Lane == Lanes.Link)
        {
            OnMessage(from, packet.Span);
            packet.Return();
        }
        else if (flow.Sink is { } sink && IsUp)
        {
            sink.OnDatagram(packet);
        }
        else
        {
            packet.Return();
        }
        // Last, because it may send, and the sink may have closed the link.
        if (!isFromPath && !IsClosed) OnNewAddress(from);
    }

    private sealed class LinkFlow(UdpLink link) : DatagramFlow
    {
        public override EventLoop Loop => link.port.Loop;

        public override PacketPool Pool => link.port.Pool;

        public override int MaxDatagramBytes => LinkSizes.MaxSduBytes;

        public override int UnsegmentedDatagramBytes => LinkSizes.UnsegmentedSdu(link.mtu.DatagramBytes);

        public override FlowQuality Quality => link.quality.Current;

        public override void Send(PacketBuffer packet, TrafficClass trafficClass) => link.transmitter.Send(packet, Lanes.Of(trafficClass));
    }
}

/// <summary>What a link needs of its portal.</summary>
internal interface IUdpLinkOwner
{
    /// <summary>Both directions have keys for the first time.</summary>
    void OnLinkKeyed(UdpLink link);

    /// <summary>The other side's acceptor has taken the link.</summary>
    void OnLinkAccepted(UdpLink link);

    void OnLinkClosed(UdpLink link, GoodbyeReason reason, string text);

    /// <summary>The link needs a new handshake for renewed SVIDs.</summary>
    void OnRenewalDue(UdpLink link);

    DateTimeOffset WallClockNow { get; }

    /// <summary>When the SVID of one of our identities ends.</summary>
    DateTimeOffset NotAfterOf(SpiffeId local);
}
