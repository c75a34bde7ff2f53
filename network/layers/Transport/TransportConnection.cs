using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// One QUIC connection between a caller and a target, shared by the streams of their portal connections. Its packets go to the
/// forwarding engine; it never learns which way they take. Loop-affine.
/// </summary>
internal sealed partial class TransportConnection : ITurnEnd
{
    private const int MostHastened = 4;
    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(2);

    private readonly LoopTimer quicTimer;
    private readonly LoopTimer unusedTimer;
    private readonly PacketSizer sizer;
    private readonly uint flowLabel = (uint)RandomNumberGenerator.GetInt32(1 << 20);
    private readonly HashSet<ITransportStream> users = [];
    private readonly List<ITransportStream> unflushed = [];
    private readonly LossWindow lossWindow = new();
    private QuicStatistics statistics;
    private Instant sampledAt, hastenedAt;
    private long windowGrowthBytes, sendGrowthBytes;
    private bool isGone;

    private TransportConnection(TransportEndpoint endpoint, SpiffeId remoteVertex, TrafficClass trafficClass)
    {
        Endpoint = endpoint;
        RemoteVertex = remoteVertex;
        Class = trafficClass;
        sizer = new PacketSizer(endpoint.Options);
        quicTimer = endpoint.Loop.CreateTimer(OnQuicDeadline);
        unusedTimer = endpoint.Loop.CreateTimer(OnUnused);
        lifeTimer = endpoint.Loop.CreateTimer(OnLifeEnd);
        renewalTimer = endpoint.Loop.CreateTimer(OnRenewalDue);
    }

    public TransportEndpoint Endpoint { get; }

    public QuicConnection Quic { get; private set; } = null!;

    public SpiffeId Local { get; private set; } = null!;

    public SpiffeId Remote { get; private set; } = null!;

    public SpiffeId RemoteVertex { get; }

    public TrafficClass Class { get; }

    /// <summary>Which life of the remote vertex the connection belongs to.</summary>
    public ulong? Incarnation { get; set; }

    /// <summary>Since when no path leads to the remote vertex of a caller's connection; Never: one does.</summary>
    public Instant AbsentSince { get; set; } = Instant.Never;

    public bool IsCaller => !Quic.IsServer;

    public bool IsConfirmed => Quic.State == QuicConnectionState.Confirmed;

    /// <summary>Portal connections that it carries.</summary>
    public int Users => users.Count;

    /// <summary>Datagram connections among them.</summary>
    public int DatagramUsers => users.Count(static u => u is DatagramConnection);

    public TimeSpan SmoothedRoundTrip => Statistics.SmoothedRoundTrip;

    public long WindowGrowthLeftBytes => Endpoint.Options.MaxWindowGrowthBytes - windowGrowthBytes;

    public long SendGrowthLeftBytes => Endpoint.Options.MaxWindowGrowthBytes - sendGrowthBytes;

    /// <summary>The most that one stream has use for: enough to fill the congestion window twice.</summary>
    public long SendLimitBytes => Math.Clamp(
        2 * Statistics.CongestionWindowBytes, Endpoint.Options.SendLimitBytes, Endpoint.Options.MaxSendLimitBytes);

    /// <summary>When the last packet of the peer came.</summary>
    public Instant LastHeard { get; private set; }

    /// <summary>Figures of at most a few milliseconds ago: they are asked for at every packet, and gathering them asks every stream.</summary>
    public QuicStatistics Statistics
    {
        get
        {
            if (!isGone && Endpoint.Loop.Now - sampledAt >= SampleInterval)
            {
                statistics = Quic.Statistics;
                sampledAt = Endpoint.Loop.Now;
            }
            return statistics;
        }
    }

    bool ITurnEnd.IsQueued { get; set; }

    public void Receive(ReadOnlySpan<byte> packet)
    {
        LastHeard = Endpoint.Loop.Now;
        Quic.Receive(packet, Endpoint.Loop.Now);
        WriteAtEndOfTurn();
    }

    public void WriteAtEndOfTurn() => Endpoint.Loop.AtEndOfTurn(this);

    public void FlushAtEndOfTurn(ITransportStream stream)
    {
        if (unflushed.Count == 0 || unflushed[^1] != stream) unflushed.Add(stream);
        WriteAtEndOfTurn();
    }

    /// <summary>A stream has grown its receive window; or, negative, gives back what it had, at its end.</summary>
    public void OnWindowGrown(long bytes) => windowGrowthBytes += bytes;

    /// <summary>The same for what a stream may have unacknowledged.</summary>
    public void OnSendGrown(long bytes) => sendGrowthBytes += bytes;

    /// <summary>Sends a few bytes of ours on a stream, by copy.</summary>
    public void Enqueue(QuicStream stream, ReadOnlySpan<byte> bytes)
    {
        var chunk = Endpoint.HeaderChunks.Rent();
        bytes.CopyTo(chunk.Span);
        stream.Enqueue(chunk, 0, bytes.Length);
        chunk.Release();
        WriteAtEndOfTurn();
    }

    public void Use(ITransportStream user)
    {
        users.Add(user);
        unusedTimer.Cancel();
    }

    public void Forget(ITransportStream user)
    {
        if (users.Remove(user) && users.Count == 0) unusedTimer.Set(Endpoint.Loop.Now + Endpoint.Options.UnusedTimeout);
    }

    public TransportConnectionStatus Status()
    {
        var now = Statistics;
        return new TransportConnectionStatus(Local, Remote, RemoteVertex, IsCaller, Users, now.SmoothedRoundTrip, now.CongestionWindowBytes, sizer.IsLarge);
    }

    /// <summary>Ends the connection and everything on it.</summary>
    public void Close(PortalError error, string reason)
    {
        if (Quic.State == QuicConnectionState.Closed) return;
        Quic.Close((ulong)error, reason);
        WriteAtEndOfTurn();
    }

    public void OnTurnEnd()
    {
        foreach (var stream in unflushed) stream.FlushInput();
        unflushed.Clear();
        if (isGone) return;
        WritePackets();
        if (Quic.IsFinished) Retire();
        else quicTimer.Set(Quic.Deadline);
    }

    private void WritePackets()
    {
        var now = Endpoint.Loop.Now;
        var largest = ChoosePacketBytes();
        var budget = Math.Max(Quic.SendQuantumBytes, largest);
        while (budget > 0)
        {
            var packet = Endpoint.Pool.Rent();
            var written = Quic.Write(packet.Append(largest), now);
            if (written == 0)
            {
                packet.Return();
                break;
            }
            packet.TrimEnd(largest - written);
            budget -= written;
            Endpoint.Forwarding.Send(packet, PayloadType.Quic, RemoteVertex, flowLabel, Class);
        }
        Quic.BurstDone(now);
    }

    private int ChoosePacketBytes()
    {
        var path = Endpoint.Forwarding.QualityTo(RemoteVertex);
        // A link that a layer carries has less room in one segment than one of UDP.
        var unsegmented = (path?.UnsegmentedDatagramBytes ?? int.MaxValue) - (path?.HeaderBytes ?? LayerSizes.BaseHeaderBytes);
        var small = Math.Clamp(unsegmented, QuicOptions.LeastPacketBytes, LayerSizes.SmallPayloadBytes);
        if (!IsConfirmed) return small;
        var statistics = Statistics;
        var ownLoss = lossWindow.Update(statistics.PacketsSent, statistics.LostStreamFrames);
        var seconds = Math.Max(statistics.SmoothedRoundTrip.TotalSeconds, 1e-5);
        return sizer.Choose(
            small,
            largestPayloadBytes: Math.Max(QuicOptions.LeastPacketBytes, (path?.MaxDatagramBytes ?? int.MaxValue) - LayerSizes.MaxHeaderBytes),
            pathLoss: (path?.LossPartsPerMillion ?? 0) / 1e6,
            ownLoss,
            bitsPerSecond: statistics.CongestionWindowBytes * 8 / seconds);
    }

    private void OnQuicDeadline()
    {
        if (isGone) return;
        Quic.HandleExpiry(Endpoint.Loop.Now);
        WriteAtEndOfTurn();
    }

    /// <summary>
    /// Links have gone, here or elsewhere. If the peer has been silent for longer than a round trip, what is under way may have gone by one of them: a
    /// probe goes out now by the new path, and its acknowledgement tells what is lost, instead of after timeouts that silence has made longer and longer.
    /// </summary>
    public void OnLinksLost()
    {
        var now = Endpoint.Loop.Now;
        if (isGone || now - (hastenedAt > LastHeard ? hastenedAt : LastHeard) <= Statistics.MinRoundTrip) return;
        hastenedAt = now;
        var underWay = Quic.BytesInFlight;
        // Something else may have been due before the probe: an acknowledgement, or the next packet of a burst.
        for (var tries = 0; tries < MostHastened && Quic.BytesInFlight <= underWay && Quic.Hasten(now); tries++) WritePackets();
        WriteAtEndOfTurn();
    }

    private void OnUnused()
    {
        if (Endpoint.IsNeededByOthers(this)) unusedTimer.Set(Endpoint.Loop.Now + Endpoint.Options.UnusedTimeout);
        else Close(0, "The connection was not used for a while.");
    }

    /// <summary>Frees the connection.</summary>
    public void Retire()
    {
        if (isGone) return;
        isGone = true;
        quicTimer.Cancel();
        unusedTimer.Cancel();
        lifeTimer.Cancel();
        renewalTimer.Cancel();
        Endpoint.Remove(this);
        Quic.Dispose();
    }
}
